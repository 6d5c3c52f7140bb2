"""Balanced accuracy: the mean recall of the classes, so that a frequent class counts no more than a rare one."""

from __future__ import annotations

from wenlu.metrics.class_counts import Counts, class_counts
from wenlu.metrics.metric import Column, Metric, OfSums
from wenlu.metrics.recall import recall


def _mean_recall(sums: Column) -> Column:
    counts = Counts.of(sums)
    mean: Column = recall(counts).sum(axis=-1) / (counts.gold > 0).sum(axis=-1)
    return mean


BALANCED_ACCURACY = Metric(
    name="balanced_accuracy",
    unit="fraction",
    better="higher",
    needs=("gold", "predicted"),
    compute=OfSums(("gold", "predicted"), _mean_recall, class_counts),
    signature="balanced_accuracy|classes:gold|adjusted:no|v1",
    source="sklearn.metrics.balanced_accuracy_score",
)
"""Macro recall leaves fewer classes out: it counts a class that is only predicted, as 0."""
