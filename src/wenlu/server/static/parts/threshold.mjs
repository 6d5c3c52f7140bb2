// How sure a model must be to say anything.
import { html, signal } from "../vendor.mjs";
import { t } from "../i18n.mjs";

export const threshold = signal(null);

/** What it adds to a request; nothing: as training found it. */
export function abstention() {
  return threshold.value === null ? {} : { abstain_below: threshold.value };
}

export function Threshold() {
  return html`
    <div class="parameters">
      <label title=${t("threshold.help")}>
        <span>${t("threshold")}</span>
        <input
          type="number"
          min="0"
          max="1"
          step="0.01"
          inputmode="decimal"
          placeholder=${t("threshold.empty")}
          value=${threshold.value ?? ""}
          onChange=${event => (threshold.value = event.target.value === "" ? null : Number(event.target.value))}
        />
      </label>
    </div>
  `;
}
