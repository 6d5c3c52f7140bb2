// Grade a text, as a whole or by traits.
import { html } from "../vendor.mjs";
import { number, t } from "../i18n.mjs";
import { Bars } from "../parts/bars.mjs";
import { TaskForm } from "../parts/task_form.mjs";
import { Verdict } from "../parts/verdict.mjs";

export function Grade() {
  return html`
    <${TaskForm} view="grade" path="/v1/grade" ...${{ fieldsOf, Result, summary, choiceOf }} />
  `;
}

function choiceOf(row, model) {
  return { field: "target", options: model.labels ?? [] };
}

function fieldsOf(model) {
  const names = model.columns?.length ? model.columns : ["text"];
  return names.map((name, place) => ({ name, isOptional: place > 0 }));
}

function Result({ row }) {
  const grades = gradesOf(row);
  if (grades.length === 1)
    return html`
      <${One} ...${grades[0]} probability=${row.probability} />
    `;
  return html`
    <div class="traits">
      ${grades.map(
        one => html`
          <section key=${one.name} aria-label=${one.name}>
            <h2>${one.name}</h2>
            <${One} ...${one} />
          </section>
        `,
      )}
    </div>
  `;
}

function One({ grade, expected, shares, probability }) {
  const rows = Object.entries(shares ?? {})
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([name, share]) => ({ name: number(Number(name)), share, isChosen: Number(name) === grade }));
  return html`
    <${Verdict} names=${[typeof grade === "number" ? number(grade) : t("abstained")]} share=${probability} />
    ${typeof expected === "number" &&
    html`
      <p class="note">${t("grade.expected", { value: number(expected) })}</p>
    `}
    ${rows.length > 0 &&
    html`
      <${Bars} rows=${rows} label=${t("probabilities")} few=${20} />
    `}
  `;
}

/** A row for each trait, or the one of a grader that has none. */
function gradesOf({ grade, expected, probabilities }) {
  if (grade === null || typeof grade !== "object") return [{ name: null, grade, expected, shares: probabilities }];
  return Object.keys(grade).map(name => ({
    name,
    grade: grade[name],
    expected: expected?.[name],
    shares: probabilities?.[name],
  }));
}

function summary(row) {
  return gradesOf(row)
    .map(({ name, grade }) => (name ? `${name}: ${grade}` : `${grade ?? t("abstained")}`))
    .join("; ");
}
