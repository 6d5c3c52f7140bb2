// The form of a task: its fields, the button, and what the model says of them.
import { html, useEffect, useRef, useSignal } from "../vendor.mjs";
import { announce } from "../announcement.mjs";
import { ask, isAbort } from "../api.mjs";
import { t } from "../i18n.mjs";
import { modelOf } from "../models.mjs";
import { keep, read } from "../storage.mjs";
import { ErrorNote } from "./error_note.mjs";
import { Field } from "./field.mjs";
import { ModelPicker } from "./model_picker.mjs";
import { Unserved } from "./unserved.mjs";
import { viewName } from "./view_name.mjs";
import { Why } from "./why.mjs";

/**
 * @param view the name of the view, which is the ability that it asks for.
 * @param path of the API.
 * @param fieldsOf from a model to its fields: {name, isOptional, isShort}.
 * @param settings more fields, where the task has any: a component. more: what they add to the request.
 * @param Result a component of {row, asked, model}. summary: a row in a sentence, to be read out.
 * @param choiceOf from a row and the model to what may be explained in place of the answer, see `Why`.
 */
export function TaskForm({ view, path, fieldsOf, settings: Settings, more = () => ({}), Result, summary, choiceOf }) {
  const model = modelOf(view);
  const texts = useSignal(read(sessionStorage, `form.${view}`, {}));
  const state = useSignal({});
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);
  useEffect(() => {
    running.current?.abort();
    state.value = {};
  }, [model?.id]);
  if (!model)
    return html`
      <${Unserved} view=${view} />
    `;
  const fields = fieldsOf(model);
  const write = (name, text) => {
    texts.value = { ...texts.value, [name]: text };
    keep(sessionStorage, `form.${view}`, texts.value);
  };
  const given = fields.filter(({ name }) => texts.value[name]?.trim());
  const isWhole = fields.every(field => field.isOptional || given.includes(field));
  const submit = async event => {
    event?.preventDefault();
    if (!isWhole || state.value.isBusy) return;
    const asked = Object.fromEntries(given.map(({ name }) => [name, texts.value[name]]));
    const input = fields.length === 1 ? asked[fields[0].name] : asked;
    const mine = new AbortController();
    running.current = mine;
    state.value = { isBusy: true };
    try {
      const { data } = await ask(path, { model: model.id, input, ...more() }, mine.signal);
      state.value = { row: data[0], asked, input };
      announce(data[0].error ? t("error.row") : summary(data[0]));
    } catch (error) {
      if (running.current === mine) state.value = isAbort(error) ? {} : { failure: error };
    }
  };
  const onKeyDown = event => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event);
    if (event.key === "Escape") running.current?.abort();
  };
  const { isBusy, row, asked, input, failure } = state.value;
  return html`
    <h1>${viewName(view, [model])}</h1>
    <p class="lead">${t(`${view}.lead`)}</p>
    <form class="card task" onSubmit=${submit} onKeyDown=${onKeyDown}>
      <${ModelPicker} view=${view} isDisabled=${isBusy} />
      ${fields.map(
        field => html`
          <${Field} key=${field.name} ...${field} text=${texts.value[field.name] ?? ""} onWrite=${write} />
        `,
      )}
      ${Settings &&
      html`
        <${Settings} model=${model} />
      `}
      <div class="row">
        ${isBusy
          ? html`
              <button type="button" class="main" onClick=${() => running.current.abort()}>${t("cancel")}</button>
            `
          : html`
              <button type="submit" class="main" disabled=${!isWhole}>${t(`${view}.ask`)}</button>
            `}
        <span class="note keys">${isBusy ? t("busy") : t("form.keys")}</span>
      </div>
    </form>
    ${failure &&
    html`
      <${ErrorNote} failure=${failure} onRetry=${submit} />
    `}
    ${row &&
    html`
      <section class="card result" aria-label=${t("result")}>
        ${row.error
          ? html`
              <${ErrorNote} failure=${rowFailure(row)} />
            `
          : html`
              <${Result} key=${row} ...${{ row, asked, model }} />
              ${model.capabilities?.includes("explain") &&
              html`
                <${Why} key=${row} ...${{ model, input }} choice=${choiceOf?.(row, model)} />
              `}
            `}
      </section>
    `}
  `;
}

function rowFailure({ error }) {
  return { status: 400, message: typeof error === "string" ? error : error.message };
}
