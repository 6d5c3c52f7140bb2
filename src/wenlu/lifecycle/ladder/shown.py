"""A few held-out texts, and what a rung answers to them: people believe a table once they have seen answers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wenlu.corpus.prepare import read_split
from wenlu.evaluation.facts import LABEL

COUNT = 5


@dataclass(frozen=True)
class Shown:
    """Attributes:
    label: the right one, where the task has labels; several are parted by commas.
    probability: of the prediction; None where the model gives none.
    """

    text: str
    label: str | None
    prediction: Any
    probability: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def shown(root: Path, split: str, rung: Path, seed: int, count: int = COUNT) -> tuple[Shown, ...]:
    """Held-out texts of the data below `root`, drawn at random, with what the rung in a folder answered."""
    lines = (rung / "evaluation.jsonl").read_text(encoding="utf-8").splitlines()
    drawn = np.random.default_rng(seed).choice(len(lines), min(count, len(lines)), replace=False)
    rows = {row["id"]: row for row in (json.loads(lines[place]) for place in sorted(drawn.tolist()))}
    texts = {record.id: record.text for record in read_split(root / "data", split) if record.id in rows}
    return tuple(
        Shown(texts[id], row.get(LABEL), row["prediction"], row.get("probability"))
        for id, row in rows.items()
        if id in texts and "prediction" in row
    )
