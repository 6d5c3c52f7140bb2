// What a view says where no model can fill it.
import { html } from "../vendor.mjs";
import { t } from "../i18n.mjs";
import { models, modelsFailure, ready } from "../models.mjs";
import { ErrorNote } from "./error_note.mjs";

export function Unserved({ view }) {
  return html`
    <h1>${t(`view.${view}`)}</h1>
    ${modelsFailure.value
      ? html`
          <${ErrorNote} failure=${modelsFailure.value} />
        `
      : html`
          <p class="note">${t(whyNot())}</p>
        `}
  `;
}

function whyNot() {
  if (!models.value) return "loading";
  return models.value.length === 0 && !ready.value ? "starting" : "unserved";
}
