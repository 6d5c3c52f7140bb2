"""Subset accuracy: the share of examples that are given exactly their labels."""

from __future__ import annotations

from wenlu.metrics.metric import Column, Metric, OfSums, mean, with_count


def _all_right(gold_labels: Column, predicted_labels: Column) -> Column:
    return with_count((gold_labels == predicted_labels).all(axis=1))


SUBSET_ACCURACY = Metric(
    name="subset_accuracy",
    unit="fraction",
    better="higher",
    needs=("gold_labels", "predicted_labels"),
    compute=OfSums(("gold_labels", "predicted_labels"), mean, _all_right),
    signature="subset_accuracy|labels:all|v1",
    source="sklearn.metrics.accuracy_score",
)
