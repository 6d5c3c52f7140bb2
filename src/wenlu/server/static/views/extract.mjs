// Find the names and other things in a text, and say of which type each is.
import { html, useSignal } from "../vendor.mjs";
import { partsOf } from "../characters.mjs";
import { percent, t } from "../i18n.mjs";
import { TaskForm } from "../parts/task_form.mjs";

const COLOURS = 8;

export function Extract() {
  return html`
    <${TaskForm} view="extract" path="/v1/extract" ...${{ fieldsOf, Result, summary, choiceOf }} />
  `;
}

/** The server finds a word by its first place in the text. */
function choiceOf(row) {
  return { field: "at", options: [...new Set((row.entities ?? []).map(one => one.text))] };
}

function fieldsOf(model) {
  return [{ name: model.columns?.[0] ?? "text" }];
}

function Result({ row, asked, model }) {
  const text = row.text ?? Object.values(asked)[0];
  const found = row.entities ?? [];
  if (!row.entities && row.tokens) return html`<${Words} words=${row.tokens} />`;
  const labels = [...new Set([...(model.labels ?? []), ...found.map(one => one.label)])];
  const colourOf = label => `colour-${labels.indexOf(label) % COLOURS}`;
  const only = useSignal(null);
  const shown = only.value ? found.filter(one => one.label === only.value) : found;
  if (found.length === 0)
    return html`
      <p class="verdict">${t("extract.none")}</p>
      <p class="source">${text}</p>
    `;
  return html`
    <${Legend}
      ...${{ labels: labels.filter(label => found.some(one => one.label === label)), found, colourOf, only }}
    />
    <p class="source">
      ${partsOf(text, shown).map(part =>
        part.span
          ? html`
              <mark class=${`entity ${colourOf(part.span.label)}`}>
                ${part.text}
                <span class="type">${part.span.label}</span>
              </mark>
            `
          : part.text,
      )}
    </p>
    <details>
      <summary>${t("as.table")}</summary>
      <${Table} found=${found} />
    </details>
  `;
}

/** Of a model that parts a text into words and gives them no type. */
function Words({ words }) {
  return html`
    <p class="labels">${words.map((word, place) => html`<span key=${place}>${word}</span>`)}</p>
  `;
}

function Legend({ labels, found, colourOf, only }) {
  return html`
    <div class="legend" role="group" aria-label=${t("extract.legend")}>
      ${labels.map(
        label => html`
          <button
            key=${label}
            type="button"
            class=${`entity ${colourOf(label)}`}
            aria-pressed=${only.value === label}
            onClick=${() => (only.value = only.value === label ? null : label)}
          >
            ${label}
            <span>${found.filter(one => one.label === label).length}</span>
          </button>
        `,
      )}
    </div>
  `;
}

function Table({ found }) {
  const heads = ["extract.text", "extract.type", "extract.place", "probability"];
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${t("as.table")}>
      <table>
        <thead>
          <tr>
            ${heads.map(
              head => html`
                <th scope="col">${t(head)}</th>
              `,
            )}
          </tr>
        </thead>
        <tbody>
          ${found.map(
            one => html`
              <tr key=${`${one.start}-${one.end}-${one.label}`}>
                <th scope="row">${one.text}</th>
                <td>${one.label}</td>
                <td class="number">${one.start}–${one.end}</td>
                <td class="number">${typeof one.probability === "number" && percent(one.probability)}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}

function summary(row) {
  const found = row.entities ?? [];
  if (!row.entities && row.tokens) return row.tokens.join(" ");
  return found.length ? found.map(one => `${one.text}: ${one.label}`).join("; ") : t("extract.none");
}
