// Copies a text, and says that it did.
import { html, useSignal } from "../vendor.mjs";
import { announce } from "../announcement.mjs";
import { t } from "../i18n.mjs";
import { Icon } from "./icons.mjs";

export function CopyButton({ text, label = "copy" }) {
  const isDone = useSignal(false);
  const copy = async () => {
    if (!(await write(typeof text === "function" ? text() : text))) return;
    isDone.value = true;
    announce(t("copied"));
    setTimeout(() => (isDone.value = false), 1500);
  };
  return html`
    <button type="button" class="quiet small" onClick=${copy}>
      <${Icon} name=${isDone.value ? "check" : "copy"} />
      ${t(isDone.value ? "copied" : label)}
    </button>
  `;
}

/** Over plain HTTP from another machine there is no clipboard; what is selected can still be copied. */
async function write(text) {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
  }
  const area = Object.assign(document.createElement("textarea"), { value: text, className: "unseen" });
  document.body.append(area);
  area.select();
  const isDone = document.execCommand("copy");
  area.remove();
  return isDone;
}
