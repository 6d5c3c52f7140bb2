// Probabilities side by side: a bar each, with its number.
import { html, useSignal } from "../vendor.mjs";
import { percent, t } from "../i18n.mjs";

const FEW = 8;

/** `rows` are {name, share, isChosen}; those behind the first few are shown on request. */
export function Bars({ rows, label, few = FEW }) {
  const isWhole = useSignal(rows.length <= few + 1);
  const shown = isWhole.value ? rows : rows.slice(0, few);
  return html`
    <table class="bars">
      <caption class="unseen">${label}</caption>
      <tbody>
        ${shown.map(
          ({ name, share, isChosen }) => html`
            <tr key=${name} class=${isChosen ? "chosen" : null}>
              <th scope="row">${name}</th>
              <td class="bar"><${Bar} share=${share} /></td>
              <td class="number">${percent(share)}</td>
            </tr>
          `,
        )}
      </tbody>
    </table>
    ${!isWhole.value &&
    html`
      <button type="button" class="quiet small" onClick=${() => (isWhole.value = true)}>
        ${t("bars.more", { count: rows.length - few })}
      </button>
    `}
  `;
}

export function Bar({ share }) {
  return html`
    <span class="track" aria-hidden="true"><span style=${{ "--share": `${100 * share}%` }}></span></span>
  `;
}
