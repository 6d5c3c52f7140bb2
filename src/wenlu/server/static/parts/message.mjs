// One turn of a conversation.
import { html, useSignal } from "../vendor.mjs";
import { t } from "../i18n.mjs";
import { CopyButton } from "./copy_button.mjs";
import { ErrorNote } from "./error_note.mjs";
import { Icon } from "./icons.mjs";
import { MarkdownText } from "./markdown_text.mjs";
import { Tokens } from "./tokens.mjs";

export function Message({ message, isLast, onRetry }) {
  const isUser = message.role === "user";
  const state = message.state.value;
  const name = isUser ? t("chat.you") : (message.model ?? t("chat.model"));
  return html`
    <li class=${`message ${message.role}`}>
      <article aria-label=${name} aria-busy=${state === "writing"}>
        <h2 class="unseen">${name}</h2>
        ${isUser
          ? html`
              ${message.picture &&
              html`
                <img class="shown" src=${message.picture} alt=${t("picture.yours")} />
              `}
              ${message.text.value &&
              html`
                <p class="plain">${message.text.value}</p>
              `}
            `
          : html`
              <${Answer} ...${{ message, isLast, onRetry }} />
            `}
      </article>
    </li>
  `;
}

function Answer({ message, isLast, onRetry }) {
  const isShaded = useSignal(true);
  const text = message.text.value;
  const tokens = message.tokens.value;
  const state = message.state.value;
  const failure = message.failure.value;
  const isWriting = state === "writing";
  return html`
    ${tokens.length > 0 && isShaded.value
      ? html`
          <${Tokens} tokens=${tokens} />
        `
      : html`
          <${MarkdownText} text=${text} />
        `}
    ${isWriting &&
    !text &&
    html`
      <p class="waiting"><span class="unseen">${t("chat.thinking")}</span></p>
    `}
    ${failure &&
    html`
      <${ErrorNote} failure=${failure} onRetry=${isLast ? onRetry : null} />
    `}
    ${!isWriting &&
    html`
      <div class="actions">
        ${state === "stopped" &&
        !failure &&
        html`
          <span class="note">${t("chat.stopped")}</span>
        `}
        ${state === "cut" &&
        html`
          <span class="note">${t("chat.cut")}</span>
        `}
        ${text &&
        html`
          <${CopyButton} text=${text} />
        `}
        ${isLast &&
        !failure &&
        html`
          <button type="button" class="quiet small" onClick=${onRetry}>
            <${Icon} name="retry" />
            ${t("retry")}
          </button>
        `}
        ${tokens.length > 0 &&
        html`
          <button
            type="button"
            class="quiet small"
            aria-pressed=${isShaded.value}
            onClick=${() => (isShaded.value = !isShaded.value)}
          >
            <${Icon} name="grade" />
            ${t("chat.probabilities")}
          </button>
        `}
      </div>
    `}
  `;
}
