// Find the answer to a question in a text.
import { html, useSignal } from "../vendor.mjs";
import { partsOf } from "../characters.mjs";
import { percent, t } from "../i18n.mjs";
import { Bar } from "../parts/bars.mjs";
import { TaskForm } from "../parts/task_form.mjs";
import { Threshold, abstention } from "../parts/threshold.mjs";
import { Verdict } from "../parts/verdict.mjs";

const FIELDS = [{ name: "question", isShort: true }, { name: "context" }];

export function Answer() {
  return html`
    <${TaskForm}
      view="answer"
      path="/v1/answer"
      fieldsOf=${() => FIELDS}
      settings=${Threshold}
      more=${abstention}
      Result=${Result}
      summary=${summary}
    />
  `;
}

function Result({ row, asked }) {
  const found = row.answer ? [row, ...(row.alternatives ?? [])] : (row.alternatives ?? []);
  const spans = found
    .map(one => ({ ...one, text: one.text ?? one.answer }))
    .filter(one => typeof one.start === "number");
  const place = useSignal(row.answer ? 0 : null);
  const marked = place.value === null ? [] : [spans[place.value]].filter(Boolean);
  return html`
    <${Verdict} names=${[words(row)]} share=${row.probability} />
    ${typeof row.no_answer === "number" &&
    html`
      <p class="note">${t("answer.no_answer", { share: percent(row.no_answer) })}</p>
    `}
    <p class="source">
      ${partsOf(asked.context, marked).map(part =>
        part.span
          ? html`
              <mark class="found">${part.text}</mark>
            `
          : part.text,
      )}
    </p>
    ${spans.length > (row.answer ? 1 : 0) &&
    html`
      <${Candidates} spans=${spans} place=${place} />
    `}
  `;
}

function Candidates({ spans, place }) {
  return html`
    <h2>${t("answer.candidates")}</h2>
    <ol class="candidates">
      ${spans.map(
        (one, index) => html`
          <li key=${index}>
            <button type="button" aria-pressed=${place.value === index} onClick=${() => (place.value = index)}>
              <span>${one.text}</span>
              <${Bar} share=${one.probability} />
              <span class="number">${percent(one.probability)}</span>
            </button>
          </li>
        `,
      )}
    </ol>
  `;
}

/** The answer; or that there is none, or none that the model would vouch for. */
function words(row) {
  return row.answer || t(row.answer === null ? "abstained" : "answer.none");
}

function summary(row) {
  return typeof row.probability === "number" ? `${words(row)}, ${percent(row.probability)}` : words(row);
}
