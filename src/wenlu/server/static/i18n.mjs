// The words of the page, in the language that was chosen; every word that a person reads comes from locales/.
import { signal } from "./vendor.mjs";

export const LANGUAGES = ["en", "zh"];
const TAGS = { en: "en", zh: "zh-CN" };

export const language = signal(document.documentElement.lang === TAGS.zh ? "zh" : "en");
const words = signal({});

export async function speak(name) {
  const response = await fetch(`/static/locales/${name}.json`);
  words.value = await response.json();
  language.value = name;
  document.documentElement.lang = TAGS[name];
}

/** The words for `key`, with each {name} in them replaced; a `count` chooses between one and several. */
export function t(key, values = {}) {
  const rule = "count" in values ? `.${new Intl.PluralRules(TAGS[language.value]).select(values.count)}` : "";
  const text = words.value[key + rule] ?? words.value[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : (value ?? whole);
  });
}

/** Words for what the server may name and we may not know. */
export function named(prefix, name, otherwise = name) {
  return words.value[`${prefix}.${name}`] ?? otherwise;
}

export function number(value, options = {}) {
  return new Intl.NumberFormat(TAGS[language.value], { maximumFractionDigits: 2, ...options }).format(value);
}

/** With three digits and its sign; `sign` as of Intl: "never" of what has none. */
export function amount(value, sign = "exceptZero") {
  return number(value, { maximumSignificantDigits: 3, signDisplay: sign });
}

export function percent(share) {
  const digits = share > 0 && (share < 0.01 || share > 0.99) && share < 1 ? 2 : share < 0.1 ? 1 : 0;
  return number(share, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function date(seconds) {
  return new Intl.DateTimeFormat(TAGS[language.value], { dateStyle: "medium" }).format(new Date(seconds * 1000));
}
