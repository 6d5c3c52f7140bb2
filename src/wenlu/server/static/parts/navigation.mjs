// The views that the served models can fill.
import { html, useEffect, useRef } from "../vendor.mjs";
import { t } from "../i18n.mjs";
import { modelsFor, views } from "../models.mjs";
import { address } from "../router.mjs";
import { Icon } from "./icons.mjs";
import { viewName } from "./view_name.mjs";

export function Navigation({ current }) {
  const list = useRef();
  useEffect(() => {
    list.current.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [current]);
  return html`
    <nav aria-label=${t("navigation")}>
      <ul ref=${list}>
        ${views.value.map(
          view => html`
            <li key=${view}>
              <a href=${address(view)} aria-current=${view === current ? "page" : null}>
                <${Icon} name=${view} />
                <span>${viewName(view, modelsFor(view))}</span>
              </a>
            </li>
          `,
        )}
      </ul>
    </nav>
  `;
}
