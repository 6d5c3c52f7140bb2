// What a model decided, and how sure it is.
import { html } from "../vendor.mjs";
import { percent } from "../i18n.mjs";

export function Verdict({ names, share }) {
  return html`
    <p class="verdict">
      ${names.map(name => [html`<strong key=${name}>${name}</strong>`, " "])}
      ${typeof share === "number" && html`<span class="share">${percent(share)}</span>`}
    </p>
  `;
}
