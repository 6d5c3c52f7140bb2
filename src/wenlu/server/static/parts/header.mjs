// The name, and what is the same for every view: language, theme, key.
import { html } from "../vendor.mjs";
import { LANGUAGES, language, speak, t } from "../i18n.mjs";
import { key, keyWanted } from "../key.mjs";
import { modelsFailure } from "../models.mjs";
import { keep } from "../storage.mjs";
import { THEMES, paint, theme } from "../theme.mjs";
import { Icon } from "./icons.mjs";

export function Header() {
  return html`
    <header class="top">
      <a class="brand" href="#/">
        <img src="/static/icon.svg" alt="" width="28" height="28" />
        <span lang="zh-CN">${t("name.zh")}</span>
        <span lang="en">${t("name.en")}</span>
      </a>
      <div class="tools">
        ${(key.value || modelsFailure.value?.status === 401) &&
        html`
          <button class="quiet" onClick=${() => (keyWanted.value = "asked")}>
            <${Icon} name="key" />
            <span class="wide-only">${t("key.button")}</span>
          </button>
        `}
        <${LanguageButton} />
        <${ThemeButton} />
      </div>
    </header>
  `;
}

function LanguageButton() {
  const other = LANGUAGES[(LANGUAGES.indexOf(language.value) + 1) % LANGUAGES.length];
  const change = () => {
    keep(localStorage, "language", other);
    speak(other);
  };
  return html`
    <button class="quiet" lang=${t("language.other.tag")} onClick=${change}>${t("language.other")}</button>
  `;
}

function ThemeButton() {
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length];
  const label = t("theme.label", { now: t(`theme.${theme.value}`), next: t(`theme.${next}`) });
  return html`
    <button class="quiet square" aria-label=${label} title=${label} onClick=${() => paint(next)}>
      <${Icon} name=${theme.value} />
    </button>
  `;
}
