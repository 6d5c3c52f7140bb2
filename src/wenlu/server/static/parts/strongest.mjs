// The units that have most to do with an answer: a bar to the right speaks for it, one to the left against it.
import { html } from "../vendor.mjs";
import { amount, t } from "../i18n.mjs";
import { sideOf } from "./attributed.mjs";

const LISTED = 8;

export function strongest(units, count = LISTED) {
  return units
    .filter(one => one.attribution)
    .sort((a, b) => Math.abs(b.attribution) - Math.abs(a.attribution))
    .slice(0, count);
}

export function Strongest({ units, elsewhere }) {
  const rest = elsewhere.map(one => ({ text: t("why.elsewhere", { name: one.name }), attribution: one.attribution }));
  const rows = strongest([...units, ...rest]);
  if (rows.length === 0) return null;
  const largest = Math.abs(rows[0].attribution);
  return html`
    <table class="strongest">
      <caption>${t("why.strongest")}</caption>
      <thead class="unseen">
        <tr>
          <th scope="col">${t("why.unit")}</th>
          <th scope="col">${t("why.side")}</th>
          <th scope="col">${t("why.amount")}</th>
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (one, index) => html`
            <tr key=${index}>
              <th scope="row">${one.text}</th>
              <td class="bar">
                <span class="unseen">${t(`why.${sideOf(one.attribution)}`)}</span>
                <span class=${`scale ${sideOf(one.attribution)}`} aria-hidden="true">
                  <span style=${{ "--share": `${(50 * Math.abs(one.attribution)) / largest}%` }}></span>
                </span>
              </td>
              <td class="number">
                ${amount(one.attribution)}${typeof one.error === "number" && ` ± ${amount(one.error, "never")}`}
              </td>
            </tr>
          `,
        )}
      </tbody>
    </table>
  `;
}
