"""What an evaluation found, and how it is written down."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wenlu.evaluation.bootstrap import Difference
from wenlu.evaluation.kept import BESIDE, Kept
from wenlu.rundir import atomic


@dataclass(frozen=True)
class Score:
    """One metric with its interval and its conventions.

    Attributes:
        low, high: None where all examples are of one cluster, which shows no spread.
        n: examples.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    n: int
    unit: str
    better: str
    signature: str


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model on a split, beside the n-gram's where there is one.

    Attributes:
        facts: split, documents, clusters, tokens, bytes, words.
        difference: the model's headline score minus the baseline's, paired.
        settings: of `[evaluate]`, every "auto" resolved.
        rows: one for each document: id, cluster, what it costs and its sizes.
        kept: what a later comparison pairs examples by. kept_beside: the same of the baseline.
        task: what the model was trained for. headline, baseline: names of the scores that say how good it is, and
            what it is compared with.
    """

    facts: Mapping[str, Any]
    scores: tuple[Score, ...]
    difference: Difference | None
    settings: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    task: str = "causal-lm"
    headline: str | None = "bits_per_byte"
    baseline: str | None = "ngram_bits_per_byte"
    kept: Kept | None = None
    kept_beside: Kept | None = None

    def score(self, name: str | None) -> Score | None:
        return next((score for score in self.scores if score.name == name), None)

    def value(self, name: str) -> float | None:
        found = self.score(name)
        return None if found is None else found.value

    def to_json(self) -> dict[str, Any]:
        """Plain data; a number that is not finite becomes null, as JSON has none."""
        content = {
            "task": self.task,
            **self.facts,
            "metrics": [asdict(score) for score in self.scores],
            "headline": _plain(self.score(self.headline)),
            "baseline": _plain(self.score(self.baseline)),
            "bits_per_byte": self.value("bits_per_byte"),
            "ngram_bits_per_byte": self.value("ngram_bits_per_byte"),
            "difference": None if self.difference is None else asdict(self.difference),
            "settings": dict(self.settings),
        }
        finite: dict[str, Any] = _finite(content)
        return finite

    def save(self, folder: Path) -> None:
        """Write evaluation.json, evaluation.jsonl with a document a line, and what is kept of answers."""
        lines = [json.dumps(_finite(row), ensure_ascii=False) + "\n" for row in self.rows]
        atomic.write_text(folder / "evaluation.jsonl", "".join(lines))
        if self.kept is not None:
            self.kept.save(folder)
        if self.kept_beside is not None:
            self.kept_beside.save(folder, BESIDE)
        atomic.write_text(folder / "evaluation.json", json.dumps(self.to_json(), ensure_ascii=False, indent=2) + "\n")


def _plain(score: Score | None) -> dict[str, Any] | None:
    return None if score is None else asdict(score)


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case _:
            return value
