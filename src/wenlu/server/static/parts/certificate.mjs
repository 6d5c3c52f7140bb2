// What an explanation is worth, row by row, each with what it means.
import { html } from "../vendor.mjs";
import { amount, named, number, percent, t } from "../i18n.mjs";

export function Certificate({ explanation }) {
  const { certificate, seconds } = explanation;
  return html`
    <details>
      <summary>${t("why.certificate")}</summary>
      <div class="scroll" tabindex="0" role="region" aria-label=${t("why.certificate")}>
        <table class="certificate">
          <tbody>
            ${rowsOf(certificate, seconds).map(
              ([name, found]) => html`
                <tr key=${name}>
                  <th scope="row">${t(`why.row.${name}`)}</th>
                  <td>
                    <span>${found}</span>
                    <span class="note">${t(`why.row.${name}.means`)}</span>
                  </td>
                </tr>
              `,
            )}
          </tbody>
        </table>
      </div>
    </details>
  `;
}

function rowsOf(found, seconds) {
  const plain = value => amount(value, "auto");
  const shares = { share: percent(found.percentile), orders: number(found.orders) };
  const rows = [
    ["method", methodOf(found)],
    ["baseline", named("why.baseline", found.baseline)],
    ["value", t("why.found.value", { value: plain(found.value), base: plain(found.base) })],
    ["completeness", found.completeness_error !== null && percent(found.completeness_error)],
    ["comprehensiveness", beside(found.comprehensiveness)],
    ["sufficiency", beside(found.sufficiency)],
    ["orders", t("why.found.orders", { ...shares, p_value: plain(found.p_value) })],
    ["randomisation", found.randomisation !== null && plain(found.randomisation)],
    ["stability", found.stability !== null && plain(found.stability)],
    ["seconds", t("why.seconds", { count: Math.round(seconds) })],
    ["model", code(found.model)],
    ["tokenizer", found.tokenizer !== null && code(found.tokenizer)],
  ];
  return rows.filter(([, value]) => value !== false);
}

function methodOf({ method, unit, steps }) {
  const told = t("why.found.method", { method: named("why.method", method), unit: named("why.level", unit) });
  return steps === null ? told : `${told} ${t("why.steps", { count: steps })}`;
}

function beside({ value, random_low: low, random_high: high }) {
  const [found, least, most] = [value, low, high].map(one => amount(one, "auto"));
  return t("why.found.beside", { value: found, low: least, high: most });
}

function code(text) {
  return html`
    <code>${text}</code>
  `;
}
