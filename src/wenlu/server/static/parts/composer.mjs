// Where one writes to the model: Enter sends, Shift+Enter makes a line; an input method's Enter does neither.
import { batch, html, useEffect, useRef, useSignal } from "../vendor.mjs";
import { isWriting, stop } from "../conversation.mjs";
import { t } from "../i18n.mjs";
import { dataUrlOf, LARGEST, pictureAmong } from "../pictures.mjs";
import { Icon } from "./icons.mjs";
import { PictureButton, ShownPicture } from "./shown_picture.mjs";

/**
 * `sees`: a picture may be sent too, chosen or pasted. `needsPicture`: nothing is sent without one. `needsText`: it is
 * not enough by itself.
 */
export function Composer({ onSend, sees = false, needsPicture = false, needsText = false }) {
  const text = useSignal("");
  const picture = useSignal(null);
  const complaint = useSignal(null);
  const area = useRef();
  const wasWriting = useRef(false);
  useEffect(() => {
    // The button that was pressed is gone or asleep: go on where one writes.
    const at = document.activeElement;
    const isLost = at === document.body || at.closest(".composer");
    if (wasWriting.current && !isWriting.value && isLost) area.current.focus();
    wasWriting.current = isWriting.value;
  }, [isWriting.value]);
  const isSaid = Boolean(text.value.trim());
  const isReady = sees ? (picture.value ? isSaid || !needsText : isSaid && !needsPicture) : isSaid;
  const send = event => {
    event?.preventDefault();
    const said = text.value.trim();
    if (!isReady || isWriting.value) return;
    const shown = picture.value;
    batch(() => {
      text.value = "";
      picture.value = null;
    });
    onSend(said, shown);
  };
  const show = async files => {
    const file = pictureAmong(files);
    if (!file) return;
    complaint.value = file.size > LARGEST ? t("picture.large") : null;
    if (file.size > LARGEST) return;
    try {
      picture.value = await dataUrlOf(file);
    } catch {
      complaint.value = t("picture.unread");
    }
  };
  const onPaste = event => {
    if (!sees || !pictureAmong(event.clipboardData?.files)) return;
    event.preventDefault();
    show(event.clipboardData.files);
  };
  const onKeyDown = event => {
    // 229 is what browsers say whose isComposing has already ended.
    const isComposing = event.isComposing || event.keyCode === 229;
    if (event.key === "Enter" && !event.shiftKey && !isComposing) send(event);
  };
  return html`
    ${picture.value &&
    html`
      <${ShownPicture} url=${picture.value} onRemove=${() => (picture.value = null)} />
    `}
    <p class="note complaint" role="alert">${complaint.value}</p>
    <form class="composer card" onSubmit=${send}>
      ${sees &&
      html`
        <${PictureButton} onFiles=${show} />
      `}
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
        onPaste=${onPaste}
      ></textarea>
      ${isWriting.value
        ? html`
            <button type="button" class="main square" aria-label=${t("stop")} onClick=${stop}>
              <${Icon} name="stop" />
            </button>
          `
        : html`
            <button type="submit" class="main square" aria-label=${t("send")} disabled=${!isReady}>
              <${Icon} name="send" />
            </button>
          `}
    </form>
    <p id="composer-keys" class="note keys">${t("chat.keys")}</p>
  `;
}
