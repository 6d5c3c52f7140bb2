// A text that a task reads.
import { html } from "../vendor.mjs";
import { named, t } from "../i18n.mjs";

export function Field({ name, isOptional = false, isShort = false, text, onWrite }) {
  const id = `field-${name}`;
  const properties = { id, value: text, required: !isOptional, onInput: event => onWrite(name, event.target.value) };
  return html`
    <div class="field">
      <label for=${id}>
        ${named("column", name)}${isOptional &&
        html`
          <span class="note">${t("optional")}</span>
        `}
      </label>
      ${isShort
        ? html`
            <input type="text" autocomplete="off" ...${properties} />
          `
        : html`
            <textarea rows="5" ...${properties}></textarea>
          `}
    </div>
  `;
}
