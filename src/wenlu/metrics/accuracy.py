"""Accuracy: the fraction of examples that are right."""

from __future__ import annotations

from wenlu.metrics.metric import Fraction, Metric

ACCURACY = Metric(
    name="accuracy",
    unit="fraction",
    better="higher",
    needs=("correct",),
    compute=Fraction("correct"),
    signature="accuracy|micro|v1",
    source="sklearn.metrics.accuracy_score",
)
"""The column `correct` holds 1 for a right answer and 0 for a wrong one."""
