// What went wrong, in words, where it happened.
import { html } from "../vendor.mjs";
import { t } from "../i18n.mjs";
import { keyWanted } from "../key.mjs";
import { Icon } from "./icons.mjs";

const KINDS = { 400: "request", 401: "key", 403: "forbidden", 404: "missing", 408: "slow", 413: "large", 429: "busy" };

export function ErrorNote({ failure, onRetry }) {
  const kind = kindOf(failure);
  return html`
    <div class="error" role="alert">
      <${Icon} name="warning" />
      <div>
        <p><strong>${t(`error.${kind}`)}</strong></p>
        ${failure.message &&
        html`
          <p class="said">${failure.message}</p>
        `}
        ${failure.retryAfter &&
        html`
          <p>${t("error.later", { count: failure.retryAfter })}</p>
        `}
        ${failure.requestId &&
        html`
          <p class="note">
            ${t("error.id")}
            <code>${failure.requestId}</code>
          </p>
        `}
        <div class="row">
          ${failure.status === 401 &&
          html`
            <button type="button" onClick=${() => (keyWanted.value = "asked")}>${t("key.enter")}</button>
          `}
          ${onRetry &&
          html`
            <button type="button" onClick=${onRetry}>${t("retry")}</button>
          `}
        </div>
      </div>
    </div>
  `;
}

function kindOf({ status, code }) {
  if (code === "unreachable" || code === "broken") return code;
  if (code === "context_length_exceeded") return "context";
  return KINDS[status] ?? (status === 503 ? "unready" : status >= 500 ? "server" : "request");
}
