// Light, dark, or as the machine is.
import { signal } from "./vendor.mjs";
import { forget, keep } from "./storage.mjs";

export const THEMES = ["auto", "light", "dark"];
export const theme = signal(document.documentElement.dataset.theme ?? "auto");

export function paint(name) {
  theme.value = name;
  if (name === "auto") {
    delete document.documentElement.dataset.theme;
    forget(localStorage, "theme");
  } else {
    document.documentElement.dataset.theme = name;
    keep(localStorage, "theme", name);
  }
}
