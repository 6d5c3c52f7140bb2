"""Whether changed texts keep their labels, as a cheap model sees them that learnt from the originals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.errors import ResourceError
from wenlu.evaluation.baselines import fit_baseline
from wenlu.evaluation.bootstrap import interval
from wenlu.metrics import ACCURACY
from wenlu.progress import Progress
from wenlu.tasks import LabelledTask

NEAR = 0.05
"""A score counts as kept where it moves by at most this share of the range of those of the training part."""


@dataclass(frozen=True)
class Kept:
    """Of texts whose originals the cheap model labels right; of scores, of all texts.

    Attributes:
        judged: how many there are. share: of them, the changed texts that it still labels so, with interval.
        right: share of the originals that it labels right at all.
    """

    share: float
    low: float
    high: float
    judged: int
    right: float


def kept_labels(
    task: LabelledTask,
    training: Sequence[Any],
    rows: Sequence[dict[str, Any]],
    before: Sequence[Any],
    after: Sequence[Any],
    progress: Progress,
) -> Mapping[str, Kept]:
    """By way; each row is told whether it keeps its label (`kept`), or that nobody can say (None).

    Args:
        rows: with `way` and `of`, the original's id. before, after: the examples of their originals and of themselves.
    """
    try:
        judge = fit_baseline(task, training, progress)
    except ResourceError as error:
        progress.warn(f"augment: nothing judges whether labels are kept: {error}")
        return {}
    assert judge is not None, f"{task.name} has a baseline"
    first = [task.told(answer)["prediction"] for answer in judge.predictor.answer(list(before))]
    second = [task.told(answer)["prediction"] for answer in judge.predictor.answer(list(after))]
    gold = [_gold(example) for example in before]
    near = NEAR * _range(gold)
    if near:  # of scores, what the model says of the original is what should stay: few are hit exactly
        gold = first
    right = [_same(answer, own, near) for answer, own in zip(first, gold, strict=True)]
    for row, is_right, own, new in zip(rows, right, gold, second, strict=True):
        row["kept"] = _same(new, own, near) if is_right else None
    found = {}
    for way in dict.fromkeys(row["way"] for row in rows):
        places = [place for place, row in enumerate(rows) if row["way"] == way]
        asked = [rows[place] for place in places if right[place]]
        if not asked:
            continue
        correct = {"correct": np.array([row["kept"] for row in asked], int)}
        share = interval(ACCURACY, correct, [row["of"] for row in asked])
        low, high = (share.value if end is None else end for end in (share.low, share.high))
        found[way] = Kept(share.value, low, high, len(asked), float(np.mean([right[place] for place in places])))
    return found


def _gold(example: Any) -> Any:
    """The right answer as `told` says a prediction: a label, labels, a score, or scores."""
    if hasattr(example, "labels"):
        labels = example.labels
        return labels[0] if labels is not None and len(labels) == 1 else list(labels or ())
    return list(example.scores)


def _same(answer: Any, gold: Any, near: float) -> bool:
    a, b = _flat(answer), _flat(gold)
    if all(isinstance(value, int | float) for value in (*a, *b)):
        return len(a) == len(b) and all(abs(x - y) <= near for x, y in zip(a, b, strict=True))
    return sorted(map(str, a)) == sorted(map(str, b))


def _flat(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else [value]


def _range(gold: Sequence[Any]) -> float:
    numbers = [value for each in gold for value in _flat(each) if isinstance(value, int | float)]
    return max(numbers) - min(numbers) if numbers else 0.0
