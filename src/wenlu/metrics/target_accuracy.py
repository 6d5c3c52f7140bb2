"""Accuracy over the targets of a pretraining objective: hidden tokens, pairs of texts, replaced tokens."""

from __future__ import annotations

from wenlu.metrics.metric import Column, Metric, Ratio


def _share(right_per_target: Column) -> Column:
    return right_per_target


TARGET_ACCURACY = Metric(
    name="target_accuracy",
    unit="fraction",
    better="higher",
    needs=("correct", "targets"),
    compute=Ratio("correct", "targets", _share),
    signature="target_accuracy|micro|v1",
    source="sklearn.metrics.accuracy_score",
)
"""The column `correct` holds how many of the `targets` of a document were the likeliest answer."""
