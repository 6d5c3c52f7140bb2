// A text whose units speak for an answer (blue, underlined) or against it (orange, dashed). The arrow keys go along.
import { html, useRef, useSignal } from "../vendor.mjs";
import { partsOf } from "../characters.mjs";
import { amount, t } from "../i18n.mjs";

const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -5, ArrowDown: 5 };
const SHADES = 3;

/** `largest` is the amount that has the full colour. */
export function Attributed({ text, units, largest, isColoured }) {
  const box = useRef();
  const at = useSignal(null);
  const unread = units.filter(one => one.attribution === null);
  if (!isColoured)
    return html`
      <p class="source">
        ${partsOf(text, unread).map(part =>
          part.span
            ? html`
                <span class="unit unread">${part.text}</span>
              `
            : part.text,
        )}
      </p>
      <${Unread} count=${unread.length} />
    `;
  const parts = partsOf(text, units);
  const marked = parts.filter(part => part.span);
  const first = at.value ?? 0;
  const move = event => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    at.value = Math.min(marked.length - 1, Math.max(0, first + step));
    box.current.querySelectorAll("[role=button]")[at.value].focus();
  };
  return html`
    <div class="source attributed" role="group" aria-label=${t("why.text")} ref=${box} onKeyDown=${move}>
      ${parts.map(part => {
        if (!part.span) return part.text;
        const index = marked.indexOf(part);
        return html`
          <span
            key=${index}
            role="button"
            class=${`unit ${shadeOf(part.span, largest)}`}
            tabindex=${index === first ? 0 : -1}
            aria-pressed=${index === at.value}
            aria-label=${words(part.span)}
            onPointerEnter=${() => (at.value = index)}
            onFocus=${() => (at.value = index)}
            onClick=${() => (at.value = index)}
          >
            ${part.text}
          </span>
        `;
      })}
    </div>
    <p class="note pointed">
      ${at.value === null || !marked[at.value] ? t("why.hint") : words(marked[at.value].span)}
    </p>
    <${Legend} />
    <${Unread} count=${unread.length} />
  `;
}

/** What a unit has to do with the answer, without its colour. */
export function words({ text, attribution, error }) {
  if (attribution === null) return t("why.unit.unread", { unit: text });
  const side = attribution > 0 ? "for" : attribution < 0 ? "against" : "none";
  const told = amount(attribution) + (typeof error === "number" ? ` ± ${amount(error, "never")}` : "");
  return t(`why.unit.${side}`, { unit: text, amount: told });
}

export function sideOf(attribution) {
  return attribution > 0 ? "for" : "against";
}

function shadeOf({ attribution }, largest) {
  if (attribution === null) return "unread";
  const shade = Math.round((SHADES * Math.abs(attribution)) / largest);
  return shade === 0 ? "" : `${sideOf(attribution)} shade-${shade}`;
}

function Legend() {
  return html`
    <p class="note sides-legend" aria-hidden="true">
      <span class="unit for shade-2">${t("why.for")}</span>
      <span class="unit against shade-2">${t("why.against")}</span>
    </p>
  `;
}

function Unread({ count }) {
  if (count === 0) return null;
  return html`
    <p class="note">${t("why.unread", { count })}</p>
  `;
}
