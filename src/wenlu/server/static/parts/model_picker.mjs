// Which of the models a view asks.
import { html } from "../vendor.mjs";
import { t } from "../i18n.mjs";
import { choose, modelOf, modelsFor } from "../models.mjs";

export function ModelPicker({ view, isDisabled = false }) {
  const all = modelsFor(view);
  const model = modelOf(view);
  if (all.length < 2)
    return html`
      <p class="model">
        <span class="note">${t("model")}</span>
        <strong>${model.id}</strong>
      </p>
    `;
  return html`
    <label class="model">
      <span class="note">${t("model")}</span>
      <select value=${model.id} disabled=${isDisabled} onChange=${event => choose(view, event.target.value)}>
        ${all.map(
          one => html`
            <option key=${one.id} value=${one.id}>${one.id}</option>
          `,
        )}
      </select>
    </label>
  `;
}
