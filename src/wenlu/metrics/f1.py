"""F1: the harmonic mean of precision and recall, of a class."""

from __future__ import annotations

from wenlu.metrics.class_counts import Counts, class_metric
from wenlu.metrics.metric import Column, quotient


def f1(counts: Counts) -> Column:
    return quotient(2 * counts.right, counts.predicted + counts.gold, otherwise=0)


MACRO_F1 = class_metric("f1", f1, "macro")
"""The mean of the F1 of the classes, not the F1 of mean precision and recall (Opitz & Burst 2019, arXiv:1911.03347)."""
MICRO_F1 = class_metric("f1", f1, "micro")
"""Accuracy, where each example has one class."""
WEIGHTED_F1 = class_metric("f1", f1, "weighted")
