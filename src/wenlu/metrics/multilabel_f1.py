"""F1 where an example has any number of labels: of all decisions, of the labels, and of the examples."""

from __future__ import annotations

import numpy as np

from wenlu.metrics.class_counts import Averaged, Counts, label_counts
from wenlu.metrics.f1 import f1
from wenlu.metrics.metric import Column, Metric, OfSums, mean, with_count

_COLUMNS = ("gold_labels", "predicted_labels")


def _f1_of_each(gold_labels: Column, predicted_labels: Column) -> Column:
    gold, predicted = gold_labels.astype(np.bool_), predicted_labels.astype(np.bool_)
    counts = Counts((gold & predicted).sum(axis=1), predicted.sum(axis=1), gold.sum(axis=1))
    return with_count(f1(counts))


MULTILABEL_MACRO_F1 = Metric(
    name="multilabel_macro_f1",
    unit="fraction",
    better="higher",
    needs=_COLUMNS,
    compute=OfSums(_COLUMNS, Averaged(f1, "macro", absent=True), label_counts),
    signature="multilabel_macro_f1|average:macro|labels:all|zero_division:0|v1",
    source="sklearn.metrics.f1_score",
)
"""A label that is neither gold nor predicted counts as 0, unlike a class in `macro_f1`, as in the source."""

MULTILABEL_MICRO_F1 = Metric(
    name="multilabel_micro_f1",
    unit="fraction",
    better="higher",
    needs=_COLUMNS,
    compute=OfSums(_COLUMNS, Averaged(f1, "micro"), label_counts),
    signature="multilabel_micro_f1|average:micro|labels:all|zero_division:0|v1",
    source="sklearn.metrics.f1_score",
)

MULTILABEL_SAMPLES_F1 = Metric(
    name="multilabel_samples_f1",
    unit="fraction",
    better="higher",
    needs=_COLUMNS,
    compute=OfSums(_COLUMNS, mean, _f1_of_each),
    signature="multilabel_samples_f1|average:samples|labels:all|zero_division:0|v1",
    source="sklearn.metrics.f1_score",
)
"""An example without labels that is given none counts as 0, as in the source; `subset_accuracy` counts it as right."""
