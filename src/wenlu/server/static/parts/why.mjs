// Why a model answers as it does: asked on request, since it takes the model seconds.
import { html, useEffect, useRef, useSignal } from "../vendor.mjs";
import { announce } from "../announcement.mjs";
import { ask, isAbort } from "../api.mjs";
import { t } from "../i18n.mjs";
import { ErrorNote } from "./error_note.mjs";
import { Explanation, summary } from "./explanation.mjs";

/**
 * @param input what was answered, as the API takes it.
 * @param choice what may be explained instead: {field, options}, where the task has more than its answer.
 */
export function Why({ model, input, choice }) {
  const state = useSignal({});
  const chosen = useSignal("");
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);
  const start = async () => {
    const mine = new AbortController();
    running.current = mine;
    state.value = { isBusy: true };
    const more = chosen.value ? { [choice.field]: chosen.value } : {};
    try {
      const explanation = await ask("/v1/explain", { model: model.id, input, ...more }, mine.signal);
      state.value = { explanation };
      announce(summary(explanation));
    } catch (error) {
      if (running.current !== mine) return;
      state.value = isAbort(error) ? {} : { failure: error };
      if (isAbort(error)) announce(t("why.stopped"));
    }
  };
  const stop = () => running.current?.abort();
  const onKeyDown = event => event.key === "Escape" && stop();
  const { isBusy, explanation, failure } = state.value;
  return html`
    <div class="why" onKeyDown=${onKeyDown}>
      <div class="row">
        ${choice?.options.length > 1 &&
        html`
          <${Choice} ...${choice} chosen=${chosen} isDisabled=${isBusy} />
        `}
        <button type="button" onClick=${isBusy ? stop : start}>${t(isBusy ? "stop" : "why.ask")}</button>
        ${isBusy &&
        html`
          <${Progress} />
        `}
        ${!isBusy &&
        !explanation &&
        html`
          <span class="note">${t("why.about")}</span>
        `}
      </div>
      ${failure &&
      html`
        <${ErrorNote} failure=${failure} onRetry=${start} />
      `}
      ${explanation &&
      html`
        <${Explanation} key=${explanation} explanation=${explanation} />
      `}
    </div>
  `;
}

function Choice({ field, options, chosen, isDisabled }) {
  return html`
    <label class="choice">
      <span>${t(`why.choice.${field}`)}</span>
      <select
        value=${chosen.value}
        disabled=${isDisabled}
        onChange=${event => {
          chosen.value = event.target.value;
        }}
      >
        <option value="">${t(`why.choice.${field}.own`)}</option>
        ${options.map(
          name => html`
            <option key=${name} value=${name}>${name}</option>
          `,
        )}
      </select>
    </label>
  `;
}

/** How long it has taken; how long it will is not known. */
function Progress() {
  const seconds = useSignal(0);
  useEffect(() => {
    const timer = setInterval(() => (seconds.value += 1), 1000);
    return () => clearInterval(timer);
  }, []);
  const time = seconds.value ? ` ${t("why.seconds", { count: seconds.value })}` : "";
  return html`
    <progress aria-label=${t("why.busy")}></progress>
    <span class="note">${t("why.busy") + time}</span>
  `;
}
