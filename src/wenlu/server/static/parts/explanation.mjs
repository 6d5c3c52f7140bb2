// An explanation: its verdict first, then the text. What is not valid has no colours until somebody asks for them.
import { html, useSignal } from "../vendor.mjs";
import { named, t } from "../i18n.mjs";
import { reasonOf } from "../reasons.mjs";
import { Attributed } from "./attributed.mjs";
import { Certificate } from "./certificate.mjs";
import { Icon } from "./icons.mjs";
import { Strongest, strongest } from "./strongest.mjs";

const TOLD = 3;

export function Explanation({ explanation }) {
  const { certificate, explained, texts, attributions, elsewhere } = explanation;
  const isValid = certificate.verdict === "valid";
  const isShown = useSignal(isValid);
  const several = Object.keys(texts).length > 1;
  return html`
    <section class="explanation" aria-label=${t("why.title", { target: explained.target })}>
      <h2>${t("why.title", { target: explained.target })}</h2>
      <p class="note">${explainedWords(explanation)}</p>
      <${Badge} certificate=${certificate} />
      ${!isValid &&
      html`
        <div class="row distrust">
          <p>
            <strong>${t(isShown.value ? "why.untrusted" : "why.hidden", { verdict: verdictName(certificate) })}</strong>
          </p>
          <button type="button" aria-pressed=${isShown.value} onClick=${() => (isShown.value = !isShown.value)}>
            ${t("why.show")}
          </button>
        </div>
      `}
      ${Object.entries(texts).map(
        ([name, text]) => html`
          ${several &&
          html`
            <h3 key=${`name-${name}`}>${named("column", name)}</h3>
          `}
          <${Attributed}
            key=${name}
            text=${text}
            units=${attributions.filter(one => one.part === name)}
            largest=${largestOf(attributions)}
            isColoured=${isShown.value}
          />
        `,
      )}
      ${isShown.value &&
      html`
        <${Strongest} units=${attributions} elsewhere=${elsewhere} />
      `}
      <${Certificate} explanation=${explanation} />
    </section>
  `;
}

/** In a sentence, to be read out: the verdict, and of a valid one what speaks for the answer. */
export function summary({ certificate, attributions }) {
  const verdict = verdictName(certificate);
  if (certificate.verdict !== "valid") return t("why.said.invalid", { verdict });
  const found = strongest(attributions, TOLD).filter(one => one.attribution > 0);
  return t("why.said", { verdict, units: found.map(one => one.text).join(", ") });
}

function Badge({ certificate }) {
  const isValid = certificate.verdict === "valid";
  return html`
    <div class=${`badge ${isValid ? "good" : "bad"}`}>
      <p>
        <${Icon} name=${isValid ? "check" : "warning"} />
        <strong>${verdictName(certificate)}</strong>
        <span>${named("why.means", certificate.verdict, "")}</span>
      </p>
      ${certificate.reasons.length > 0 &&
      html`
        <ul>
          ${certificate.reasons.map(
            reason => html`
              <li key=${reason}>${reasonOf(reason)}</li>
            `,
          )}
        </ul>
      `}
    </div>
  `;
}

function explainedWords({ explained, certificate }) {
  const method = named("why.method", certificate.method);
  return t("why.explained", { value: named("why.value", explained.value), target: explained.target, method });
}

function verdictName({ verdict }) {
  return named("why.verdict", verdict);
}

function largestOf(units) {
  return Math.max(0, ...units.map(one => Math.abs(one.attribution ?? 0))) || 1;
}
