// An answer token by token: shaded by probability, with what else might have stood there. The arrow keys go along.
import { html, useRef, useSignal } from "../vendor.mjs";
import { percent, t } from "../i18n.mjs";
import { shadeOf } from "../probability.mjs";
import { Bars } from "./bars.mjs";

const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -10, ArrowDown: 10 };

export function Tokens({ tokens, before = "" }) {
  const box = useRef();
  const at = useSignal(null);
  const isHeld = useSignal(false);
  const first = at.value ?? 0;
  const look = index => {
    if (!isHeld.value) at.value = index;
  };
  const move = event => {
    const step = STEPS[event.key];
    const isPress = event.key === "Enter" || event.key === " ";
    if (!step && !isPress) return;
    event.preventDefault();
    if (isPress) return hold(first);
    const next = Math.min(tokens.length - 1, Math.max(0, first + step));
    isHeld.value = true;
    at.value = next;
    box.current.querySelectorAll("[role=button]")[next].focus();
  };
  const hold = index => {
    isHeld.value = !(isHeld.value && at.value === index);
    at.value = index;
  };
  return html`
    <div class="tokens" role="group" aria-label=${t("tokens.label")} ref=${box} onKeyDown=${move}>
      ${before &&
      html`
        <span class="before">${before}</span>
      `}${tokens.map(
        (token, index) => html`
          <span
            key=${index}
            role="button"
            class=${`token shade-${shadeOf(token.share)}`}
            tabindex=${index === first ? 0 : -1}
            aria-pressed=${index === at.value}
            aria-label=${labelOf(token)}
            onPointerEnter=${() => look(index)}
            onFocus=${() => look(index)}
            onClick=${() => hold(index)}
          >
            ${token.text}
          </span>
        `,
      )}
    </div>
    <${Key} />
    ${at.value !== null &&
    tokens[at.value] &&
    html`
      <${Others} token=${tokens[at.value]} />
    `}
  `;
}

function labelOf(token) {
  const text = visible(token.text);
  return token.share === null ? text : `${text}, ${percent(token.share)}`;
}

function Key() {
  return html`
    <p class="note shades" aria-hidden="true">
      ${t("tokens.unsure")}${[0, 1, 2, 3, 4].map(
        shade => html`
          <span class=${`token shade-${shade}`}></span>
        `,
      )}${t("tokens.sure")}
      <span class="hint">${t("tokens.hint")}</span>
    </p>
  `;
}

function Others({ token }) {
  const rows = token.others.some(one => one.text === token.text) ? token.others : [token, ...token.others];
  const bars = rows.map(({ text, share }) => ({
    name: visible(text),
    share: share ?? 0,
    isChosen: text === token.text,
  }));
  return html`
    <div class="others card"><${Bars} rows=${bars} label=${t("tokens.others")} few=${10} /></div>
  `;
}

/** Spaces and line ends as signs, since a name of nothing says nothing. */
function visible(text) {
  return (text || t("tokens.part"))
    .replaceAll("\n", "↵")
    .replaceAll("\t", "⇥")
    .replace(/^ +| +$/g, spaces => "␣".repeat(spaces.length));
}
