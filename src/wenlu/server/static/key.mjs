// The key that requests carry: for as long as the window is open, and never in an address.
import { signal } from "./vendor.mjs";
import { forget, keep, read } from "./storage.mjs";

export const key = signal(read(sessionStorage, "key", ""));
/** Why the dialog is open: "missing", "refused" or "asked"; null: it is not. */
export const keyWanted = signal(null);

export function useKey(value) {
  key.value = value;
  if (value) keep(sessionStorage, "key", value);
  else forget(sessionStorage, "key");
}
