// A model goes on with a text.
import { html, useEffect, useRef, useSignal } from "../vendor.mjs";
import { announce } from "../announcement.mjs";
import { isAbort, stream } from "../api.mjs";
import { t } from "../i18n.mjs";
import { modelOf } from "../models.mjs";
import { paced } from "../pace.mjs";
import { CopyButton } from "../parts/copy_button.mjs";
import { ErrorNote } from "../parts/error_note.mjs";
import { ModelPicker } from "../parts/model_picker.mjs";
import { Parameters } from "../parts/parameters.mjs";
import { Tokens } from "../parts/tokens.mjs";
import { Unserved } from "../parts/unserved.mjs";
import { tokensOf } from "../probability.mjs";
import { given, sampling } from "../sampling.mjs";
import { keep, read } from "../storage.mjs";

const ALTERNATIVES = 5;
const LENGTH = 200;

export function Complete() {
  const model = modelOf("complete");
  const prompt = useSignal(read(sessionStorage, "form.complete", ""));
  const state = useSignal({});
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);
  if (!model)
    return html`
      <${Unserved} view="complete" />
    `;
  const type = text => {
    prompt.value = text;
    keep(sessionStorage, "form.complete", text);
  };
  const submit = event => {
    event?.preventDefault();
    if (!prompt.value || state.value.isBusy) return;
    running.current = new AbortController();
    goOn(model.id, prompt.value, state, running.current.signal);
  };
  const take = () => {
    type(state.value.prompt + state.value.text);
    state.value = {};
  };
  const onKeyDown = event => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event);
    if (event.key === "Escape") running.current?.abort();
  };
  const { isBusy, text } = state.value;
  return html`
    <h1>${t("view.complete")}</h1>
    <p class="lead">${t("complete.lead")}</p>
    <form class="card task" onSubmit=${submit} onKeyDown=${onKeyDown}>
      <${ModelPicker} view="complete" isDisabled=${isBusy} />
      <div class="field">
        <label for="prompt">${t("complete.prompt")}</label>
        <textarea id="prompt" rows="6" value=${prompt.value} onInput=${event => type(event.target.value)}></textarea>
      </div>
      <${Parameters} length=${LENGTH} />
      <div class="row">
        ${isBusy
          ? html`
              <button type="button" class="main" onClick=${() => running.current.abort()}>${t("stop")}</button>
            `
          : html`
              <button type="submit" class="main" disabled=${!prompt.value}>${t("complete.ask")}</button>
            `}
        <span class="note keys">${t(isBusy ? "busy" : "form.keys")}</span>
      </div>
    </form>
    ${text !== undefined &&
    html`
      <${Written} state=${state.value} onTake=${take} onRetry=${submit} />
    `}
  `;
}

function Written({ state, onTake, onRetry }) {
  const { prompt, text, tokens, failure, isBusy, end } = state;
  return html`
    <section class="card result" aria-label=${t("result")} aria-busy=${isBusy}>
      ${tokens.length > 0
        ? html`
            <${Tokens} tokens=${tokens} before=${prompt} />
          `
        : html`
            <p class="source">
              <span class="before">${prompt}</span>
              <span class="written">${text}</span>
            </p>
          `}
      ${failure &&
      html`
        <${ErrorNote} failure=${failure} onRetry=${onRetry} />
      `}
      ${!isBusy &&
      html`
        <div class="actions">
          ${end &&
          html`
            <span class="note">${t(`complete.${end}`)}</span>
          `}
          ${text &&
          html`
            <${CopyButton} text=${text} />
          `}
          ${text &&
          html`
            <button type="button" class="quiet small" onClick=${onTake}>${t("complete.take")}</button>
          `}
        </div>
      `}
    </section>
  `;
}

async function goOn(model, prompt, state, signal) {
  const decoder = new TextDecoder();
  const more = sampling.value.probabilities ? { logprobs: ALTERNATIVES } : {};
  const body = { model, prompt, max_tokens: LENGTH, ...given(), ...more };
  let now = { isBusy: true, prompt, text: "", tokens: [], end: null };
  const painter = paced(() => (state.value = now));
  painter.now();
  try {
    for await (const chunk of stream("/v1/completions", body, signal)) {
      const choice = chunk.choices?.[0];
      if (!choice) continue;
      const tokens = [...now.tokens, ...tokensOf(choice.logprobs, decoder)];
      now = { ...now, text: now.text + (choice.text ?? ""), tokens, end: choice.finish_reason ?? now.end };
      painter.later();
    }
  } catch (error) {
    now = isAbort(error) ? { ...now, end: "stopped" } : { ...now, failure: error };
  }
  now = { ...now, isBusy: false };
  painter.now();
  announce(now.failure ? t("chat.failed") : now.text);
}
