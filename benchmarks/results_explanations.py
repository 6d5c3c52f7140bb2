"""The part of `results.py`'s page on explanations side by side."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

ADDRESS = re.compile(r"[^\s<>]+@[^\s<>]+|https?://\S+")
"""Of mail and pages, which are left out of the text that is shown."""
UNFIT = re.compile(r"porn|fuck|sex|xxx|teen|viagra", re.IGNORECASE)
"""What spam says and this page need not repeat."""
SHOWN = 12
"""Words of the text that is shown, those that weigh most."""


HEADER = (
    "model",
    "accuracy",
    "valid",
    "unconverged",
    "unfaithful",
    "comprehensiveness (random)",
    "completeness error, worst",
    "seconds, median",
)


def explanations(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """A section for each set, none where nothing was explained."""
    return [_section(each) for each in found]


def _section(found: Mapping[str, Any]) -> str:
    texts = found["texts"]
    models = list(found["models"])
    lines = [
        f"## Explanations: {found['set']}",
        "",
        f"`make proof-explanations SET={found['set']}`: {len(texts)} held-out texts that all three models get right, "
        "each explained by all of them: the linear model by its own terms, the others by integrated gradients.",
        "",
        f"| {' | '.join(HEADER)} |",
        f"|{'---|' * len(HEADER)}",
    ]
    for model in models:
        certificates = [text["certificates"][model] for text in texts]
        verdicts = Counter(each["verdict"] for each in certificates)
        ours = statistics.mean(each["comprehensiveness"]["value"] for each in certificates)
        chance = statistics.mean(each["comprehensiveness"]["random_mean"] for each in certificates)
        worst = max(each["completeness_error"] for each in certificates)
        seconds = statistics.median(text["seconds"][model] for text in texts)
        accuracy = "" if found["models"][model] is None else f"{found['models'][model]:.3f}"
        cells = [model, accuracy, *(str(verdicts[name]) for name in ("valid", "unconverged", "unfaithful"))]
        cells += [f"{ours:.3f} ({chance:.3f})", f"{worst:.1e}", f"{seconds:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    pairs = {pair: statistics.mean(text["correlations"][pair] for text in texts) for pair in texts[0]["correlations"]}
    common = [text for text in texts if text["agreed"]]
    words = Counter(word for text in texts for word in text["agreed"])
    lines += [
        "",
        "Rank correlation of words, mean over texts: "
        + ", ".join(f"{pair} {value:.2f}" for pair, value in pairs.items())
        + ".",
        "",
        f"All three have a word in common among their three strongest in {len(common)} of {len(texts)} texts: "
        + ", ".join(f"{word} ({count})" if count > 1 else word for word, count in words.most_common(20))
        + ".",
        "",
        *_shown(max(texts, key=_worth_showing), models),
        "",
        f"{found['machine']}, {found['threads']} threads; {found['commit']}.",
    ]
    return "\n".join(lines)


def _worth_showing(text: Mapping[str, Any]) -> tuple[bool, int, float]:
    valid = sum(each["verdict"] == "valid" for each in text["certificates"].values())
    return UNFIT.search(text["text"]) is None, valid, sum(text["correlations"].values())


def _shown(text: Mapping[str, Any], models: Sequence[str]) -> list[str]:
    """One text in full."""
    private = {word for address in ADDRESS.findall(text["text"]) for word in re.findall(r"\w+", address)}
    weight = [
        0.0 if word in private else max(abs(text["amounts"][model][n]) for model in models)
        for n, word in enumerate(text["words"])
    ]
    best = sorted(sorted(range(len(weight)), key=lambda n: -weight[n])[:SHOWN])
    verdicts = ", ".join(f"{model} {text['certificates'][model]['verdict']}" for model in models)
    return [
        f"> {' '.join(ADDRESS.sub('…', text['text']).split())}",
        "",
        f"Answered: {text['label']}. Verdicts: {verdicts}. Amounts of its {len(best)} heaviest words, in logits:",
        "",
        f"| word | {' | '.join(models)} |",
        f"|---|{'---|' * len(models)}",
        *(
            f"| {_plain(text['words'][n])} | "
            + " | ".join(f"{text['amounts'][model][n]:+.3f}" for model in models)
            + " |"
            for n in best
        ),
    ]


def _plain(word: str) -> str:
    return word.replace("|", "\\|").replace("`", "\\`").replace("*", "\\*").replace("_", "\\_")
