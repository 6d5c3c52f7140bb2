"""Metrics of one trait among several, and their mean: `quadratic_kappa.content`, `quadratic_kappa.mean`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wenlu.metrics import Columns, Metric


@dataclass(frozen=True)
class _OfOthers:
    compute: Callable[[Columns], float]
    columns: Mapping[str, str]

    def __call__(self, columns: Columns) -> float:
        return self.compute({name: columns[other] for name, other in self.columns.items()})


@dataclass(frozen=True)
class _Mean:
    metrics: tuple[Metric, ...]

    def __call__(self, columns: Columns) -> float:
        values = np.array([metric.compute(columns) for metric in self.metrics])
        known = values[~np.isnan(values)]
        return float(known.mean()) if len(known) else float("nan")


def of_columns(metric: Metric, columns: Mapping[str, str], suffix: str = "") -> Metric:
    """The metric of other columns than those that it names, its own name with `suffix`."""
    read = {name: columns.get(name, name) for name in metric.needs}
    return replace(
        metric,
        name=metric.name + suffix,
        needs=tuple(read.values()),
        compute=_OfOthers(metric.compute, read),
        signature=_signature(metric, metric.name + suffix),
    )


def mean_of_traits(metrics: Sequence[Metric], name: str) -> Metric:
    """The plain mean of one metric of several traits; a trait where it is not defined is left out."""
    first = metrics[0]
    return replace(
        first,
        name=f"{name}.mean",
        needs=tuple(dict.fromkeys(need for metric in metrics for need in metric.needs)),
        compute=_Mean(tuple(metrics)),
        signature=f"{name}.mean|traits:{len(metrics)}|mean:plain|{first.signature.rpartition('|')[2]}",
    )


def _signature(metric: Metric, name: str) -> str:
    return "|".join([name, *metric.signature.split("|")[1:]])
