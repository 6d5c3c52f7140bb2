// What a screen reader is told when something has finished; never token by token.
import { html, signal } from "./vendor.mjs";

const said = signal("");

export function announce(text) {
  // The same words twice would not be read twice.
  said.value = text === said.value ? `${text}\u00a0` : text;
}

export function Announcements() {
  return html`
    <div class="unseen" role="status" aria-live="polite">${said.value}</div>
  `;
}
