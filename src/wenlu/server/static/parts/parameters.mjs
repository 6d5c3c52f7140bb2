// Fields for how a model is to write.
import { html } from "../vendor.mjs";
import { t } from "../i18n.mjs";
import { RANGES, sampling, set } from "../sampling.mjs";

/** @param length how many tokens an answer has where nothing is said. */
export function Parameters({ length = null }) {
  return html`
    <div class="parameters">
      ${Object.entries(RANGES).map(
        ([name, range]) => html`
          <label key=${name} title=${t(`parameter.${name}.help`)}>
            <span>${t(`parameter.${name}`)}</span>
            <input
              type="number"
              inputmode="decimal"
              ...${range}
              value=${sampling.value[name] ?? ""}
              placeholder=${(name === "max_tokens" && length) || t(`parameter.${name}.empty`)}
              onChange=${event => set(name, event.target.value === "" ? null : Number(event.target.value))}
            />
          </label>
        `,
      )}
    </div>
    <label class="tick">
      <input
        type="checkbox"
        checked=${sampling.value.probabilities ?? false}
        onChange=${event => set("probabilities", event.target.checked)}
      />
      <span>${t("parameter.probabilities")}</span>
    </label>
  `;
}
