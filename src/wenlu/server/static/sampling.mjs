// How a model is asked to write; what is left empty is as the server has it.
import { signal } from "./vendor.mjs";
import { keep, read } from "./storage.mjs";

export const RANGES = {
  temperature: { min: 0, max: 2, step: 0.1 },
  top_p: { min: 0.01, max: 1, step: 0.01 },
  max_tokens: { min: 1, max: 1_000_000, step: 1 },
  seed: { min: 0, max: 2 ** 31 - 1, step: 1 },
};

export const sampling = signal(read(sessionStorage, "sampling", {}));

export function set(name, value) {
  sampling.value = { ...sampling.value, [name]: value };
  keep(sessionStorage, "sampling", sampling.value);
}

/** The numbers that were given, as the API names them. */
export function given() {
  const pairs = Object.keys(RANGES).map(name => [name, sampling.value[name]]);
  return Object.fromEntries(pairs.filter(([, value]) => typeof value === "number" && Number.isFinite(value)));
}
