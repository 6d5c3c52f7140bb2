"""Squared error of predicted numbers, and its root in the unit of the labels."""

from __future__ import annotations

import numpy as np

from wenlu.metrics.metric import Column, Metric, OfSums, mean, with_count


def _squares(gold: Column, predicted: Column) -> Column:
    return with_count((gold.astype(np.float64) - predicted) ** 2)


def _root_mean(sums: Column) -> Column:
    root: Column = np.sqrt(mean(sums))
    return root


MSE = Metric(
    name="mse",
    unit="squared label",
    better="lower",
    needs=("gold", "predicted"),
    compute=OfSums(("gold", "predicted"), mean, _squares),
    signature="mse|v1",
    source="sklearn.metrics.mean_squared_error",
)

RMSE = Metric(
    name="rmse",
    unit="label",
    better="lower",
    needs=("gold", "predicted"),
    compute=OfSums(("gold", "predicted"), _root_mean, _squares),
    signature="rmse|v1",
    source="sklearn.metrics.root_mean_squared_error",
)
