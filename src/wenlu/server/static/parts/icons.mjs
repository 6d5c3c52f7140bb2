// Line drawings, 24 by 24; they say nothing that words beside them do not.
import { html } from "../vendor.mjs";

const PATHS = {
  answer: "M12 20.5a8.5 8.5 0 1 0-7.6-4.7L3.5 20.5l4.7-.9a8.5 8.5 0 0 0 3.8.9zM9.8 9.6a2.3 2.3 0 1 1 3.3 2.1c-.8.4-1.1.9-1.1 1.6M12 16h.01",
  auto: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
  chat: "M20.5 11.5a7.5 7.5 0 0 1-7.5 7.5H9l-5 2.5 1.3-4.5A7.5 7.5 0 0 1 11 4h2a7.5 7.5 0 0 1 7.5 7.5zM9 10h7M9 13.5h4",
  check: "M5 12.5l4.5 4.5L19 7.5",
  classify: "M3.5 12.5V5a1.5 1.5 0 0 1 1.5-1.5h7.5l8 8a1.5 1.5 0 0 1 0 2.1l-6.9 6.9a1.5 1.5 0 0 1-2.1 0zM8 8h.01",
  clear: "M4 7h16M9.5 7V4.5h5V7M6.5 7l1 13h9l1-13M10.5 11v5M13.5 11v5",
  complete: "M4 6h16M4 11h16M4 16h6M14 14.5v6M13 14.5h2M13 20.5h2",
  copy: "M9 9h10.5v11.5H9zM15 9V3.5H4.5V15H9",
  dark: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  down: "M12 5v14M6 13l6 6 6-6",
  extract: "M4 20h16M6 15l4-1 9-9-3-3-9 9zM14 6l3 3",
  grade: "M4 20h16M6.5 20v-6M12 20V5M17.5 20v-9",
  home: "M4 11l8-7 8 7v9h-5.5v-6h-5v6H4z",
  key: "M14.5 9.5a4.5 4.5 0 1 1-2.3-3.9A4.5 4.5 0 0 1 14.5 9.5zM13.5 12.5L20.5 19.5M17.5 16.5l-2 2",
  light: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.5v2M12 19.5v2M4.5 12h-2M21.5 12h-2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",
  picture: "M4 5h16v14H4zM4 16l4.5-5 4 4.5 2.5-2.5 5 5M15.5 9h.01",
  retry: "M19.5 12a7.5 7.5 0 1 1-2.2-5.3L19.5 9M19.5 4v5h-5",
  send: "M12 19.5V5M6 11l6-6 6 6",
  settings: "M4 7h9M17 7h3M15 4.5v5M4 17h3M11 17h9M9 14.5v5",
  stop: "M7 7h10v10H7z",
  translate: "M3.5 6h9M8 3.5V6M10.5 6c-.6 3.5-3 6.5-6.5 8M5.5 8.5c1 2.5 3 4.5 5.5 5.5M12 20.5l4.5-10 4.5 10M13.5 17.5h6",
  warning: "M12 4l9 16H3zM12 10v4.5M12 17.5h.01",
};

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}
