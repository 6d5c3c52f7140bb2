"""What a report shows of single classes: a row for each, and which is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wenlu.metrics.class_counts import Counts
from wenlu.metrics.f1 import f1
from wenlu.metrics.metric import Column, Columns
from wenlu.metrics.precision import precision
from wenlu.metrics.recall import recall


@dataclass(frozen=True)
class ClassRow:
    """How one class fares.

    Attributes:
        support: how often it is gold.
    """

    label: str
    precision: float
    recall: float
    f1: float
    support: int


def per_class(columns: Columns, labels: Sequence[str]) -> list[ClassRow]:
    """A row for each label, in their order, from `gold` and `predicted`; scores are 0 where nothing is to divide by."""
    matrix = confusion_matrix(columns, len(labels))
    return rows(labels, Counts(right=matrix.diagonal(), predicted=matrix.sum(axis=0), gold=matrix.sum(axis=1)))


def rows(labels: Sequence[str], counts: Counts) -> list[ClassRow]:
    """A row for each label from (L,) counts."""
    scores = (score(counts).tolist() for score in (precision, recall, f1))
    return [ClassRow(*row) for row in zip(labels, *scores, counts.gold.astype(np.int64).tolist(), strict=True)]


def confusion_matrix(columns: Columns, num_labels: int) -> Column:
    """(L, L) int64: how many examples of each gold class, by row, were given each class, by column."""
    gold, predicted = columns["gold"], columns["predicted"]
    for classes in (gold, predicted):
        assert not len(classes) or 0 <= classes.min() <= classes.max() < num_labels, f"not one of {num_labels} classes"
    pairs = np.bincount(gold * num_labels + predicted, minlength=num_labels**2)
    return pairs.reshape(num_labels, num_labels)
