"""Absolute error of predicted numbers."""

from __future__ import annotations

import numpy as np

from wenlu.metrics.metric import Column, Metric, OfSums, mean, with_count


def _distances(gold: Column, predicted: Column) -> Column:
    return with_count(np.abs(gold.astype(np.float64) - predicted))


MAE = Metric(
    name="mae",
    unit="label",
    better="lower",
    needs=("gold", "predicted"),
    compute=OfSums(("gold", "predicted"), mean, _distances),
    signature="mae|v1",
    source="sklearn.metrics.mean_absolute_error",
)
