"""Recall: of what is of a class, the share that was given it."""

from __future__ import annotations

from wenlu.metrics.class_counts import Counts, class_metric
from wenlu.metrics.metric import Column, quotient


def recall(counts: Counts) -> Column:
    return quotient(counts.right, counts.gold, otherwise=0)


MACRO_RECALL = class_metric("recall", recall, "macro")
MICRO_RECALL = class_metric("recall", recall, "micro")
WEIGHTED_RECALL = class_metric("recall", recall, "weighted")
