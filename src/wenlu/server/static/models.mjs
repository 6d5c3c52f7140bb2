// What the server serves, and which of it each view asks.
import { computed, signal } from "./vendor.mjs";
import { ask, isReady } from "./api.mjs";
import { route } from "./router.mjs";
import { keep, read } from "./storage.mjs";

/** null until the server has told. */
export const models = signal(null);
/** Why it has not. */
export const modelsFailure = signal(null);
/** null until it was asked. */
export const ready = signal(null);

const ABILITIES = {
  chat: "chat",
  complete: "complete",
  classify: "classify",
  extract: "extract",
  answer: "answer",
  translate: "translate",
  grade: "grade",
};
const chosen = signal(read(sessionStorage, "models", {}));

/** The views that some model can fill, in the order of the navigation. */
export const views = computed(() => ["home", ...Object.keys(ABILITIES).filter(view => modelsFor(view).length > 0)]);

export function modelsFor(view) {
  return (models.value ?? []).filter(model => model.capabilities?.includes(ABILITIES[view]));
}

/** Where one can go with a model. */
export function viewsOf(model) {
  return Object.keys(ABILITIES).filter(view => model.capabilities?.includes(ABILITIES[view]));
}

/** The model of a view: that of the address, else the last one, else the first. */
export function modelOf(view) {
  const all = modelsFor(view);
  const wanted = route.value.view === view ? route.value.model : null;
  return all.find(one => one.id === wanted) ?? all.find(one => one.id === chosen.value[view]) ?? all[0];
}

export function choose(view, id) {
  chosen.value = { ...chosen.value, [view]: id };
  keep(sessionStorage, "models", chosen.value);
  if (route.value.model) location.replace(`#/${view}`);
}

export async function refresh() {
  ready.value = await isReady();
  try {
    models.value = (await ask("/v1/models")).data;
    modelsFailure.value = null;
  } catch (error) {
    modelsFailure.value = error;
  }
}

/** Ask again while the server is not ready, and seldom once it is; never for a window that nobody looks at. */
export function watch() {
  const later = () => setTimeout(check, ready.value && models.value ? 30_000 : 2_000);
  const check = async () => {
    if (document.visibilityState === "visible") {
      const before = ready.value;
      ready.value = await isReady();
      if ((ready.value && !before) || (!models.value && modelsFailure.value?.status !== 401)) await refresh();
    }
    later();
  };
  later();
}
