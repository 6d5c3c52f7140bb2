// Give a text its label, or several.
import { html } from "../vendor.mjs";
import { percent, t } from "../i18n.mjs";
import { Bars } from "../parts/bars.mjs";
import { TaskForm } from "../parts/task_form.mjs";
import { Threshold, abstention } from "../parts/threshold.mjs";
import { Verdict } from "../parts/verdict.mjs";

export function Classify() {
  return html`
    <${TaskForm}
      view="classify"
      path="/v1/classify"
      fieldsOf=${fieldsOf}
      settings=${Threshold}
      more=${abstention}
      Result=${Result}
      summary=${summary}
      choiceOf=${choiceOf}
    />
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
  const chosen = chosenOf(row);
  const rows = Object.entries(row.probabilities ?? {})
    .map(([name, share]) => ({ name, share, isChosen: chosen.includes(name) }))
    .sort((a, b) => b.share - a.share);
  return html`
    ${isAbstained(row)
      ? html`
          <p class="verdict">${t("abstained")}</p>
          <p>${abstainedWords(row)}</p>
        `
      : html`
          <${Verdict} names=${chosen.length ? chosen : [t("classify.none")]} share=${row.probability} />
        `}
    ${rows.length > 0 &&
    html`
      <${Bars} rows=${rows} label=${t("probabilities")} />
    `}
  `;
}

function chosenOf(row) {
  return row.labels ?? (typeof row.label === "string" ? [row.label] : []);
}

function isAbstained(row) {
  return row.label === null || Boolean(row.abstained);
}

/** Which label it would have been, said only where the server says it. */
export function abstainedWords(row) {
  const share = percent(row.probability ?? 0);
  return typeof row.abstained === "string"
    ? t("abstained.which", { name: row.abstained, share })
    : t("abstained.why", { share });
}

function summary(row) {
  if (isAbstained(row)) return `${t("abstained")} ${abstainedWords(row)}`;
  const names = chosenOf(row).join(", ") || t("classify.none");
  return typeof row.probability === "number" ? `${names}, ${percent(row.probability)}` : names;
}
