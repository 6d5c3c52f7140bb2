"""Precision: of what was given a class, the share that is of it."""

from __future__ import annotations

from wenlu.metrics.class_counts import Counts, class_metric
from wenlu.metrics.metric import Column, quotient


def precision(counts: Counts) -> Column:
    return quotient(counts.right, counts.predicted, otherwise=0)


MACRO_PRECISION = class_metric("precision", precision, "macro")
MICRO_PRECISION = class_metric("precision", precision, "micro")
WEIGHTED_PRECISION = class_metric("precision", precision, "weighted")
