// Why a verdict is not "valid", in the language of the page: the server tells it in English sentences.
import { t } from "./i18n.mjs";

const KINDS = {
  incomplete: /^attributions miss the difference to the baseline by (?<percent>\S+) %/,
  unsteady: /^other seeds rank the units otherwise \(correlation (?<correlation>[^)]+)\)/,
  untold: /^(?<units>\d+) units and (?<orders>\d+) random orders do not suffice/,
  chance: /^units in its order matter no more than in random orders \(p = (?<p_value>[^)]+)\)/,
  independent: /^it says nearly the same of a model whose weights were shuffled \(correlation (?<correlation>[^)]+)\)/,
};

/** A sentence that is not known stays as it is. */
export function reasonOf(sentence) {
  for (const [kind, pattern] of Object.entries(KINDS)) {
    const found = pattern.exec(sentence);
    if (found) return t(`why.reason.${kind}`, { ...found.groups });
  }
  return sentence;
}
