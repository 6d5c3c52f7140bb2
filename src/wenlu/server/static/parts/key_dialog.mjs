// Asks for the server's key.
import { html, useEffect, useRef } from "../vendor.mjs";
import { t } from "../i18n.mjs";
import { key, keyWanted, useKey } from "../key.mjs";
import { refresh } from "../models.mjs";

export function KeyDialog() {
  const dialog = useRef();
  const input = useRef();
  const why = keyWanted.value;
  useEffect(() => {
    if (why && !dialog.current.open) dialog.current.showModal();
    if (!why && dialog.current.open) dialog.current.close();
  }, [why]);
  const close = () => (keyWanted.value = null);
  const take = async event => {
    event.preventDefault();
    useKey(input.current.value.trim());
    close();
    await refresh();
  };
  const drop = async () => {
    useKey("");
    close();
    await refresh();
  };
  return html`
    <dialog ref=${dialog} class="card" aria-labelledby="key-title" onCancel=${close}>
      ${why &&
      html`
        <form onSubmit=${take}>
          <h2 id="key-title">${t("key.title")}</h2>
          <p id="key-why">${t(`key.${why}`)}</p>
          <label for="key-input">${t("key.label")}</label>
          <input
            id="key-input"
            ref=${input}
            type="password"
            autocomplete="off"
            spellcheck=${false}
            required
            aria-describedby="key-why key-note"
          />
          <p id="key-note" class="note">${t("key.note")}</p>
          <div class="row end">
            ${key.value &&
            html`
              <button type="button" class="quiet" onClick=${drop}>${t("key.forget")}</button>
            `}
            <button type="button" class="quiet" onClick=${close}>${t("cancel")}</button>
            <button type="submit" class="main">${t("key.use")}</button>
          </div>
        </form>
      `}
    </dialog>
  `;
}
