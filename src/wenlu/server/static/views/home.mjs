// What is served here, and how programs reach it.
import { html, useEffect } from "../vendor.mjs";
import { date, named, number, t } from "../i18n.mjs";
import { models, modelsFailure, ready, refresh, viewsOf } from "../models.mjs";
import { CopyButton } from "../parts/copy_button.mjs";
import { ErrorNote } from "../parts/error_note.mjs";
import { Icon } from "../parts/icons.mjs";
import { viewName } from "../parts/view_name.mjs";
import { address } from "../router.mjs";

const LABELS = 12;

export function Home() {
  useEffect(() => {
    if (models.value) refresh();
  }, []);
  const all = models.value;
  return html`
    <div class="hero">
      <h1>${t("home.title")}</h1>
      <${Readiness} />
    </div>
    <p class="lead">${t("home.lead")}</p>
    ${modelsFailure.value &&
    html`
      <${ErrorNote} failure=${modelsFailure.value} onRetry=${refresh} />
    `}
    ${all?.length === 0 &&
    html`
      <p class="card">${t(ready.value ? "home.none" : "starting")}</p>
    `}
    <ul class="models">
      ${all?.map(
        model => html`
          <${Model} key=${model.id} model=${model} />
        `,
      )}
    </ul>
    ${all?.length > 0 &&
    html`
      <${Programs} />
    `}
    <footer class="note">
      <a href="/static/LICENSES.txt">${t("home.licences")}</a>
    </footer>
  `;
}

function Readiness() {
  const state = ready.value === null ? "asked" : ready.value ? "ready" : "unready";
  return html`
    <p class=${`readiness ${state}`} role="status">${t(`ready.${state}`)}</p>
  `;
}

function Model({ model }) {
  const labels = model.labels ?? [];
  const facts = [
    model.task && named("task", model.task),
    model.max_model_len && t("model.context", { count: model.max_model_len }),
    model.parent && t("model.parent", { name: model.parent }),
    model.created && t("model.created", { date: date(model.created) }),
    t(model.loaded ? "model.loaded" : "model.waiting"),
  ];
  return html`
    <li class="card">
      <h2>${model.id}</h2>
      <p class="note facts">
        ${facts.filter(Boolean).map(
          fact => html`
            <span key=${fact}>${fact}</span>
          `,
        )}
      </p>
      ${labels.length > 0 &&
      html`
        <p class="labels">
          ${labels.slice(0, LABELS).map(
            label => html`
              <span key=${label}>${label}</span>
            `,
          )}
          ${labels.length > LABELS &&
          html`
            <span>${t("model.labels", { count: number(labels.length - LABELS) })}</span>
          `}
        </p>
      `}
      <p class="doors">
        ${viewsOf(model).map(
          view => html`
            <a
              key=${view}
              class="button"
              href=${address(view, model.id)}
              aria-label=${`${viewName(view, [model])}: ${model.id}`}
            >
              <${Icon} name=${view} />
              ${viewName(view, [model])}
            </a>
          `,
        )}
        ${viewsOf(model).length === 0 &&
        html`
          <span class="note">${t("model.api")}</span>
        `}
      </p>
    </li>
  `;
}

function Programs() {
  const base = `${location.origin}/v1`;
  return html`
    <section class="programs">
      <h2>${t("home.programs")}</h2>
      <p>${t("home.programs.lead")}</p>
      <p class="row address">
        <code>${base}</code>
        <${CopyButton} text=${base} />
      </p>
    </section>
  `;
}
