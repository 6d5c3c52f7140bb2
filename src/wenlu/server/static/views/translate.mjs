// Write one text from another: its translation, its summary, its headline.
import { html } from "../vendor.mjs";
import { percent, t } from "../i18n.mjs";
import { CopyButton } from "../parts/copy_button.mjs";
import { TaskForm } from "../parts/task_form.mjs";

export function Translate() {
  return html`
    <${TaskForm}
      view="translate"
      path="/v1/translate"
      fieldsOf=${fieldsOf}
      Result=${Result}
      summary=${row => row.text ?? t("abstained")}
    />
  `;
}

function fieldsOf(model) {
  return [{ name: model.columns?.[0] ?? "source" }];
}

function Result({ row, asked }) {
  return html`
    <div class="sides">
      <div>
        <h2>${t("translate.from")}</h2>
        <p class="source">${Object.values(asked)[0]}</p>
      </div>
      <div>
        <h2>${t("translate.to")}</h2>
        <p class="source written">${row.text ?? t("abstained")}</p>
        <div class="actions">
          ${typeof row.probability === "number" &&
          html`
            <span class="note" title=${t("translate.sure.help")}>
              ${t("translate.sure", { share: percent(row.probability) })}
            </span>
          `}
          ${row.text && html`<${CopyButton} text=${row.text} />`}
        </div>
      </div>
    </div>
  `;
}
