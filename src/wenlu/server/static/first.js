// Before anything is painted: the theme and the language that were chosen, so that neither flickers.
(() => {
  const root = document.documentElement;
  const kept = name => {
    try {
      return JSON.parse(localStorage.getItem(`wenlu.${name}`));
    } catch {
      return null;
    }
  };
  const theme = kept("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const wanted = kept("language") ?? (navigator.language ?? "").slice(0, 2);
  root.lang = wanted === "zh" ? "zh-CN" : "en";
})();
