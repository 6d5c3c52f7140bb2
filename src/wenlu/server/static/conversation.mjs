// A conversation with a model: what was said, and the one answer that is being written.
import { batch, signal } from "./vendor.mjs";
import { announce } from "./announcement.mjs";
import { isAbort, stream } from "./api.mjs";
import { t } from "./i18n.mjs";
import { models } from "./models.mjs";
import { paced } from "./pace.mjs";
import { contentOf } from "./pictures.mjs";
import { tokensOf } from "./probability.mjs";
import { given, sampling } from "./sampling.mjs";
import { keep, read } from "./storage.mjs";

const ALTERNATIVES = 5;
const kept = read(sessionStorage, "conversation", { system: "", messages: [] });
let number = 0;
let stopper = null;

export const system = signal(kept.system);
/** Each has a signal for what changes of it, so that a token repaints its own message and no other. */
export const messages = signal(kept.messages.map(message));
export const isWriting = signal(false);

/** `state` is "done", "writing", "stopped" or "cut" (it may have been longer); a failure says why there is no more. */
function message({ role, text = "", tokens = [], state = "done", model = null, failure = null, picture = null }) {
  number += 1;
  const whole = state === "writing" ? "stopped" : state;
  return {
    number,
    role,
    model,
    picture,
    text: signal(text),
    tokens: signal(tokens),
    state: signal(whole),
    failure: signal(failure),
  };
}

/** `picture` is a data URL, or null. */
export async function say(text, model, picture = null) {
  messages.value = [...messages.value, message({ role: "user", text, picture })];
  await write(model);
}

/** Write the last answer again. */
export async function retry(model) {
  if (isWriting.value) return;
  const all = messages.value;
  if (all.at(-1)?.role === "assistant") messages.value = all.slice(0, -1);
  if (messages.value.length) await write(model);
}

export function stop() {
  stopper?.abort();
}

export function clear() {
  stop();
  messages.value = [];
  save();
}

export function save() {
  const plain = isWhole =>
    messages.value.map(one => ({
      role: one.role,
      model: one.model,
      text: one.text.value,
      state: one.state.value,
      tokens: isWhole ? one.tokens.value : [],
      picture: isWhole ? one.picture : null,
    }));
  const isKept = keep(sessionStorage, "conversation", { system: system.value, messages: plain(true) });
  if (!isKept) keep(sessionStorage, "conversation", { system: system.value, messages: plain(false) });
}

async function write(model) {
  const body = requestOf(model);
  const answer = message({ role: "assistant", model });
  const mine = new AbortController();
  stopper = mine;
  batch(() => {
    answer.state.value = "writing";
    messages.value = [...messages.value, answer];
    isWriting.value = true;
  });
  save();
  const painter = painting(answer);
  let end = "cut";
  try {
    for await (const chunk of stream("/v1/chat/completions", body, mine.signal)) {
      const choice = chunk.choices?.[0];
      if (!choice) continue;
      painter.add(choice.delta?.content ?? "", choice.logprobs);
      if (choice.finish_reason) end = choice.finish_reason === "length" ? "cut" : "done";
    }
  } catch (error) {
    end = "stopped";
    if (!isAbort(error)) answer.failure.value = error;
  }
  painter.finish();
  batch(() => {
    answer.state.value = end;
    if (stopper === mine) isWriting.value = false;
  });
  save();
  announce(answer.failure.value ? t("chat.failed") : t(`chat.said.${end}`, { text: answer.text.value }));
}

/** A model that was taught single questions about pictures is asked the last one alone. */
function requestOf(model) {
  const all = messages.value.filter(one => one.text.value || one.picture);
  const isOne = describes(model);
  const said = (isOne ? all.filter(one => one.role === "user").slice(-1) : all).map(one => ({
    role: one.role,
    content: contentOf(one.text.value, one.picture),
  }));
  const asked = system.value.trim() && !isOne ? [{ role: "system", content: system.value }] : [];
  const more = sampling.value.probabilities ? { logprobs: true, top_logprobs: ALTERNATIVES } : {};
  return { model, messages: [...asked, ...said], ...given(), ...more };
}

/** Whether it answers an example of a task, rather than a conversation. */
function describes(model) {
  const served = models.value?.find(one => one.id === model);
  return Boolean(served?.sees && served.columns?.length);
}

function painting(answer) {
  const decoder = new TextDecoder();
  let text = "";
  let tokens = [];
  const { later, now } = paced(() =>
    batch(() => {
      answer.text.value = text;
      if (tokens.length !== answer.tokens.value.length) answer.tokens.value = tokens;
    }),
  );
  return {
    add(more, logprobs) {
      text += more;
      if (logprobs) tokens = [...tokens, ...tokensOf(logprobs, decoder)];
      later();
    },
    finish: now,
  };
}

addEventListener("pagehide", save);
