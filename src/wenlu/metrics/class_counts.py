"""How often each class is right, predicted and gold: all that precision, recall, F1 and MCC need to know.

A confusion matrix per example would be L × L; these 3 L counts per example are enough, and they add up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from wenlu.metrics.metric import Column, Metric, OfSums

Average = Literal["macro", "micro", "weighted"]


class Counts(NamedTuple):
    """(..., L) each."""

    right: Column
    predicted: Column
    gold: Column

    @classmethod
    def of(cls, sums: Column) -> Counts:
        """From (..., 3 L)."""
        return cls(*np.split(sums, 3, axis=-1))


Score = Callable[[Counts], Column]
"""A score of each class; 0, not nan, where there is nothing to divide by (`zero_division:0`)."""


def class_counts(gold: Column, predicted: Column) -> Column:
    """(n,) classes from 0 to (n, 3 L) bool."""
    assert min(gold.min(), predicted.min()) >= 0, "classes count from 0: give an answer that is no class one of its own"
    classes = np.arange(max(gold.max(), predicted.max()) + 1)
    return label_counts(gold[:, None] == classes, predicted[:, None] == classes)


def label_counts(gold_labels: Column, predicted_labels: Column) -> Column:
    """(n, L) 0 or 1 to (n, 3 L) bool."""
    gold, predicted = gold_labels.astype(np.bool_), predicted_labels.astype(np.bool_)
    return np.concatenate([gold & predicted, predicted, gold], axis=1)


@dataclass(frozen=True)
class Averaged:
    """A score of all classes from the scores of each; finishes the sums of `class_counts` and `label_counts`.

    Attributes:
        average: "macro", the mean of the classes; "weighted", their mean by gold count; "micro", the score of the
            counts of all classes together.
        absent: whether a class that is neither gold nor predicted counts as one with score 0.
    """

    score: Score
    average: Average
    absent: bool = False

    def __call__(self, sums: Column) -> Column:
        counts = Counts.of(sums)
        if self.average == "micro":
            return self.score(Counts(*(count.sum(axis=-1) for count in counts)))
        scores = self.score(counts)
        if self.average == "weighted":
            weights = counts.gold
        else:
            weights = np.logical_or(self.absent, counts.predicted + counts.gold > 0)
        total: Column = (scores * weights).sum(axis=-1) / weights.sum(axis=-1)
        return total


def class_metric(name: str, score: Score, average: Average) -> Metric:
    """The row of one average over the classes that are gold or predicted."""
    return Metric(
        name=f"{average}_{name}",
        unit="fraction",
        better="higher",
        needs=("gold", "predicted"),
        compute=OfSums(("gold", "predicted"), Averaged(score, average), class_counts),
        signature=f"{average}_{name}|average:{average}|classes:gold-or-predicted|zero_division:0|v1",
        source=f"sklearn.metrics.{name}_score",
    )
