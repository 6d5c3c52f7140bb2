// Where one writes to the model: Enter sends, Shift+Enter makes a line; an input method's Enter does neither.
import { html, useEffect, useRef, useSignal } from "../vendor.mjs";
import { isWriting, stop } from "../conversation.mjs";
import { t } from "../i18n.mjs";
import { Icon } from "./icons.mjs";

export function Composer({ onSend }) {
  const text = useSignal("");
  const area = useRef();
  const wasWriting = useRef(false);
  useEffect(() => {
    // The button that was pressed is gone or asleep: go on where one writes.
    const at = document.activeElement;
    const isLost = at === document.body || at.closest(".composer");
    if (wasWriting.current && !isWriting.value && isLost) area.current.focus();
    wasWriting.current = isWriting.value;
  }, [isWriting.value]);
  const send = event => {
    event?.preventDefault();
    const said = text.value.trim();
    if (!said || isWriting.value) return;
    text.value = "";
    onSend(said);
  };
  const onKeyDown = event => {
    // 229 is what browsers say whose isComposing has already ended.
    const isComposing = event.isComposing || event.keyCode === 229;
    if (event.key === "Enter" && !event.shiftKey && !isComposing) send(event);
  };
  return html`
    <form class="composer card" onSubmit=${send}>
      <label class="unseen" for="composer">${t("chat.say")}</label>
      <textarea
        id="composer"
        ref=${area}
        rows="1"
        placeholder=${t("chat.say")}
        value=${text.value}
        aria-describedby="composer-keys"
        onInput=${event => (text.value = event.target.value)}
        onKeyDown=${onKeyDown}
      ></textarea>
      ${isWriting.value
        ? html`
            <button type="button" class="main square" aria-label=${t("stop")} onClick=${stop}>
              <${Icon} name="stop" />
            </button>
          `
        : html`
            <button type="submit" class="main square" aria-label=${t("send")} disabled=${!text.value.trim()}>
              <${Icon} name="send" />
            </button>
          `}
    </form>
    <p id="composer-keys" class="note keys">${t("chat.keys")}</p>
  `;
}
