"""The same texts explained by a linear model, an LSTM and an encoder, with certificates, and what they agree on.

    python benchmarks/explanations.py [reviews-zh] [spam]     trains what is missing; writes docs/results.md

Models stand in `.make/explanations/SET`; what was found in `docs/results/explained-SET.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from results import KEPT, ROOT, machine, told, wenlu, written

from wenlu.corpus.prepare import read_split
from wenlu.corpus.record import Record
from wenlu.explanation.certificate import rank_correlation
from wenlu.explanation.explain import Explainer, explain
from wenlu.explanation.explanation import Explanation
from wenlu.explanation.settings import ExplainConfig
from wenlu.explanation.units import spans_of

RUNS = ROOT / ".make" / "explanations"
SETS = ("reviews-zh", "spam")
LSTM = (
    'model={family="lstm", hidden_size=128, embedding_size=128, num_hidden_layers=1, dropout=0.2}',
    'tokenizer={kind="bpe", vocab_size=8192}',
    'optimizer={name="adamw", lr=2e-3, weight_decay=0.01}',
    'task.pooling="mean"',
)
TEXTS, FEWEST, MOST = 20, 8, 80
"""Held-out texts of so many words that all three models get right."""
TOP = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", default=SETS)
    for name in parser.parse_args().sets:
        found = explained(name, trained(name))
        path = KEPT / f"explained-{name}.json"
        path.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        written()
    return 0


def trained(name: str) -> dict[str, Path]:
    """A linear model, an LSTM and the recipe's encoder, of the same data."""
    folder, recipe = RUNS / name, f"recipes/{name}.toml"
    models = {"SVM": folder / "ladder" / "rungs" / "linear-svm", "LSTM": folder / "lstm", "encoder": folder / "encoder"}
    if not (folder / "ladder" / "ladder.json").exists():
        ladder = ("compare.rungs=linear-svm", "compare.ablation=false")
        wenlu("compare", recipe, *ladder, "--out", str(folder / "ladder"))
    if not (folder / "lstm" / "evaluation.json").exists():
        wenlu("finetune", recipe, *LSTM, "--out", str(folder / "lstm"))
    if not (folder / "encoder" / "evaluation.json").exists():
        wenlu("finetune", recipe, "--out", str(folder / "encoder"))
    return models


def explained(name: str, models: Mapping[str, Path]) -> dict[str, Any]:
    explainers = {model: Explainer.load(path) for model, path in models.items()}
    rows: list[dict[str, Any]] = []
    begin = time.perf_counter()
    for text, label in candidates(RUNS / name / "encoder"):
        record = Record(text, "text")
        answers = [each.subject(record, ExplainConfig()).told.answer for each in explainers.values()]
        if any(answer["prediction"] != label for answer in answers):
            continue
        found = {model: explain(each, text, [f"target={label}"]) for model, each in explainers.items()}
        rows.append(row(text, label, found))
        print(f"{len(rows)} of {TEXTS} texts, {time.perf_counter() - begin:.0f} s", flush=True)
        if len(rows) == TEXTS:
            break
    return {
        "set": name,
        "commit": told("git", "describe", "--always", "--dirty"),
        "machine": machine(),
        "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
        "models": {model: score_of(path) for model, path in models.items()},
        "texts": rows,
    }


def candidates(run: Path) -> list[tuple[str, str]]:
    """Held-out texts of a suitable length with their labels, in an order drawn once."""
    records = list(read_split(run / "data", "test"))
    order = np.random.default_rng(0).permutation(len(records)).tolist()
    fitting = []
    for place in order:
        record = records[place]
        if FEWEST <= len(list(spans_of(record.text, "word"))) <= MOST:
            fitting.append((record.text, record.meta["label"]))
    return fitting


def score_of(path: Path) -> float | None:
    file = path / "evaluation.json"
    return json.loads(file.read_text(encoding="utf-8"))["headline"]["value"] if file.exists() else None


def row(text: str, label: str, found: Mapping[str, Explanation]) -> dict[str, Any]:
    words = list(spans_of(text, "word"))
    amounts = {model: by_word(explanation, words) for model, explanation in found.items()}
    names = list(found)
    tops = {
        model: {words[n] for n in np.argsort(-values, kind="stable")[:TOP].tolist()}
        for model, values in amounts.items()
    }
    return {
        "text": text,
        "label": label,
        "words": [text[start:end] for start, end in words],
        "amounts": {model: np.round(values, 4).tolist() for model, values in amounts.items()},
        "certificates": {model: each.as_json()["certificate"] for model, each in found.items()},
        "seconds": {model: round(each.seconds, 3) for model, each in found.items()},
        "correlations": {
            f"{a} and {b}": round(rank_correlation(amounts[a], amounts[b]), 3)
            for place, a in enumerate(names)
            for b in names[place + 1 :]
        },
        "agreed": sorted({text[start:end] for start, end in set.intersection(*tops.values())}),
    }


def by_word(explanation: Explanation, words: Sequence[tuple[int, int]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Amounts of the words: of a unit that covers several, each gets its share by letters; of words not read, 0."""
    letters = np.zeros(max((end for _, end in words), default=0) + 1)
    for unit in explanation.attributions:
        letters[unit.start : unit.end] += (unit.attribution or 0.0) / max(1, unit.end - unit.start)
    found: np.ndarray[Any, np.dtype[np.float64]] = np.array([letters[start:end].sum() for start, end in words])
    return found


if __name__ == "__main__":
    sys.exit(main())
