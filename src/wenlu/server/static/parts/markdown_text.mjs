// A model's text as Markdown; a block that has not changed is not made again.
import { html, useLayoutEffect, useMemo, useRef } from "../vendor.mjs";
import { t } from "../i18n.mjs";
import { blocksOf, setHtml } from "../markdown.mjs";

export function MarkdownText({ text }) {
  const blocks = useMemo(() => blocksOf(text), [text]);
  return html`
    <div class="markdown">
      ${blocks.map(
        (source, index) => html`
          <${Block} key=${index} source=${source} />
        `,
      )}
    </div>
  `;
}

function Block({ source }) {
  const place = useRef();
  useLayoutEffect(() => {
    setHtml(place.current, source);
    // What scrolls sideways can be reached by the keyboard.
    for (const wide of place.current.querySelectorAll("pre")) {
      wide.tabIndex = 0;
      wide.setAttribute("role", "region");
      wide.setAttribute("aria-label", t("code"));
    }
  }, [source]);
  return html`
    <div ref=${place}></div>
  `;
}
