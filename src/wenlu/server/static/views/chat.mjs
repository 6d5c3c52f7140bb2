// Talk with a model.
import { html, useEffect, useLayoutEffect, useMemo, useSignal } from "../vendor.mjs";
import { clear, isWriting, messages, retry, save, say, stop, system } from "../conversation.mjs";
import { t } from "../i18n.mjs";
import { modelOf } from "../models.mjs";
import { Composer } from "../parts/composer.mjs";
import { Icon } from "../parts/icons.mjs";
import { Message } from "../parts/message.mjs";
import { ModelPicker } from "../parts/model_picker.mjs";
import { Parameters } from "../parts/parameters.mjs";
import { Unserved } from "../parts/unserved.mjs";

const FIRST = 30;
const MORE = 10;
const NEAR = 120;

export function Chat() {
  const model = modelOf("chat");
  const isOpen = useSignal(false);
  const shown = useShown();
  useStopKey();
  useFollowing();
  if (!model)
    return html`
      <${Unserved} view="chat" />
    `;
  const all = messages.value;
  return html`
    <div class="toolbar">
      <h1 class="unseen">${t("view.chat")}</h1>
      <${ModelPicker} view="chat" isDisabled=${isWriting.value} />
      <span class="gap"></span>
      ${all.length > 0 &&
      html`
        <button class="quiet" onClick=${clear}>
          <${Icon} name="clear" />
          <span>${t("chat.clear")}</span>
        </button>
      `}
      <button
        class="quiet"
        aria-expanded=${isOpen.value}
        aria-controls="chat-settings"
        onClick=${() => (isOpen.value = !isOpen.value)}
      >
        <${Icon} name="settings" />
        <span>${t("settings")}</span>
      </button>
    </div>
    <section id="chat-settings" class="card settings" hidden=${!isOpen.value} aria-label=${t("settings")}>
      <label class="field">
        <span>${t("chat.system")}</span>
        <textarea
          rows="2"
          value=${system.value}
          placeholder=${t("chat.system.empty")}
          onInput=${event => (system.value = event.target.value)}
          onChange=${save}
        ></textarea>
      </label>
      <${Parameters} />
    </section>
    ${all.length === 0 &&
    html`
      <${Welcome} model=${model} />
    `}
    <ol class="messages" aria-label=${t("chat.conversation")}>
      ${all.slice(-shown).map(
        message => html`
          <${Turn} key=${message.number} message=${message} isLast=${message === all.at(-1)} />
        `,
      )}
    </ol>
    <div class="dock">
      <${Composer}
        sees=${model.sees}
        needsPicture=${model.columns?.length > 0}
        needsText=${model.columns?.includes("question")}
        onSend=${(text, picture) => say(text, model.id, picture)}
      />
    </div>
  `;
}

/** The same elements for the same message: what is said now does not make anew what was said before. */
function Turn({ message, isLast }) {
  return useMemo(
    () => html`
      <${Message} message=${message} isLast=${isLast} onRetry=${again} />
    `,
    [message, isLast],
  );
}

function again() {
  return retry(modelOf("chat").id);
}

function Welcome({ model }) {
  return html`
    <div class="welcome">
      <p class="large">${t("chat.welcome", { model: model.id })}</p>
      ${model.sees &&
      html`
        <p class="note">${t(model.columns?.length ? "picture.welcome" : "picture.welcome.chat")}</p>
      `}
      <p class="note">${t("chat.private")}</p>
    </div>
  `;
}

/** How many messages are on the page: a long conversation comes to it from its end, a few between two frames. */
function useShown() {
  const shown = useSignal(FIRST);
  const total = messages.value.length;
  useEffect(() => {
    if (shown.value >= total) return undefined;
    const more = setTimeout(() => (shown.value += MORE), 30);
    return () => clearTimeout(more);
  }, [shown.value, total]);
  return shown.value;
}

function useStopKey() {
  useEffect(() => {
    const onKeyDown = event => {
      if (event.key === "Escape" && isWriting.value && !document.querySelector("dialog[open]")) stop();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
}

/** Stay at the end of what is being written, unless the reader has scrolled away from it. */
function useFollowing() {
  useLayoutEffect(() => {
    const root = document.documentElement;
    let isAtEnd = true;
    let height = 0;
    const onScroll = () => (isAtEnd = root.scrollHeight - root.scrollTop - root.clientHeight < NEAR);
    const follow = () => {
      if (root.scrollHeight !== height && isAtEnd) root.scrollTop = root.scrollHeight;
      height = root.scrollHeight;
    };
    const observer = new ResizeObserver(follow);
    observer.observe(document.getElementById("main"));
    addEventListener("scroll", onScroll, { passive: true });
    return () => {
      observer.disconnect();
      removeEventListener("scroll", onScroll);
    };
  }, []);
}
