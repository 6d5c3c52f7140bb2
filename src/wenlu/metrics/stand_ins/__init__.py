"""Until the metrics of grades, regressions and rankings are here under the same names: the least that tasks need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from wenlu.errors import DataError
from wenlu.metrics.metric import Column, Columns, Metric

Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class _Of:
    columns: tuple[str, ...]
    value: Callable[..., float]

    def __call__(self, columns: Columns) -> float:
        found = [columns[name] for name in self.columns]
        if len(found[0]) == 0:
            raise DataError("no examples: the split is empty")
        return float(self.value(*found))


def _metric(name: str, unit: str, better: Better, columns: tuple[str, ...], value: Callable[..., float]) -> Metric:
    return Metric(name, unit, better, columns, _Of(columns, value), f"{name}|v1", "a stand-in")


def _kappa(gold: Column, predicted: Column) -> float:
    """2 cov / (var + var + (difference of means)²), which is the quadratic kappa over the whole scale."""
    gold, predicted = gold.astype(np.float64), predicted.astype(np.float64)
    covariance = ((gold - gold.mean()) * (predicted - predicted.mean())).mean()
    whole = gold.var() + predicted.var() + (gold.mean() - predicted.mean()) ** 2
    return float(2 * covariance / whole) if whole > 0 else float("nan")


def _correlation(gold: Column, predicted: Column) -> float:
    if np.ptp(gold) == 0 or np.ptp(predicted) == 0:
        return float("nan")
    return float(np.corrcoef(gold, predicted)[0, 1])


def quadratic_kappa(low: int, high: int) -> Metric:
    metric = _metric("quadratic_kappa", "kappa", "higher", ("gold", "predicted"), _kappa)
    return replace(metric, signature=f"quadratic_kappa|labels:{low}..{high}|v1")


def mean_by_group(metric: Metric) -> Metric:
    """By Fisher's z over the groups of the column `group`."""

    def mean(group: Column, *columns: Column) -> float:
        needs = metric.needs
        values = np.array(
            [
                metric.compute({name: column[group == one] for name, column in zip(needs, columns, strict=True)})
                for one in np.unique(group)
            ]
        )
        return float(np.tanh(np.arctanh(np.clip(values[~np.isnan(values)], -0.999, 0.999)).mean()))

    return _metric(f"mean_{metric.name}", metric.unit, metric.better, ("group", *metric.needs), mean)


def recall_at(k: int) -> Metric:
    return _metric(f"recall_at_{k}", "fraction", "higher", ("ranks",), lambda ranks: float((_known(ranks) <= k).mean()))


def ndcg(k: int) -> Metric:
    def gained(ranks: Column) -> float:
        ranks = _known(ranks)
        return float(np.where(ranks <= k, 1 / np.log2(1 + ranks), 0).mean())

    return _metric(f"ndcg_at_{k}", "fraction", "higher", ("ranks",), gained)


def _known(ranks: Column) -> Column:
    known: Column = ranks[~np.isnan(ranks)]
    return known


_PAIR = ("gold", "predicted")
PEARSON = _metric("pearson", "correlation", "higher", _PAIR, _correlation)
MSE = _metric("mse", "squared label", "lower", _PAIR, lambda gold, predicted: ((gold - predicted) ** 2).mean())
RMSE = _metric("rmse", "label", "lower", _PAIR, lambda gold, predicted: np.sqrt(((gold - predicted) ** 2).mean()))
MAE = _metric("mae", "label", "lower", _PAIR, lambda gold, predicted: np.abs(gold - predicted).mean())
MRR = _metric("mrr", "reciprocal rank", "higher", ("ranks",), lambda ranks: (1 / _known(ranks)).mean())
