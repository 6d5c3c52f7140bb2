// Which view is shown: the part of the address behind #, as in #/chat?model=NAME.
import { signal } from "./vendor.mjs";

export const route = signal(routeOf(location.hash));

export function start() {
  addEventListener("hashchange", () => {
    route.value = routeOf(location.hash);
  });
}

export function address(view, model) {
  return `#/${view === "home" ? "" : view}${model ? `?model=${encodeURIComponent(model)}` : ""}`;
}

function routeOf(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  return { view: path || "home", model: new URLSearchParams(query).get("model") };
}
