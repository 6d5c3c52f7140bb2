"""Spearman's rank correlation of what people say and what a model says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wenlu.errors import DataError
from wenlu.metrics.metric import Column, Columns, Metric


@dataclass(frozen=True)
class RankCorrelation:
    """Pearson's correlation of the ranks in two columns; equal values share the mean of their ranks."""

    gold: str
    predicted: str

    def __call__(self, columns: Columns) -> float:
        """From -1 to 1; nan where a column has only one value. Raises DataError where there are no examples."""
        if len(columns[self.gold]) == 0:
            raise DataError(f"no examples to rank by {self.gold}: the set is empty, or none of its words is known")
        gold, predicted = (_ranks(columns[name]) for name in (self.gold, self.predicted))
        gold, predicted = gold - gold.mean(), predicted - predicted.mean()
        spread = np.sqrt((gold @ gold) * (predicted @ predicted))
        return float(gold @ predicted / spread) if spread > 0 else float("nan")


def _ranks(values: Column) -> Column:
    """(n,) float64 from 1 up."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    ranks: Column = (last - (sizes - 1) / 2)[group]
    return ranks


SPEARMAN = Metric(
    name="spearman",
    unit="correlation",
    better="higher",
    needs=("gold", "predicted"),
    compute=RankCorrelation("gold", "predicted"),
    signature="spearman|ties:mean|v1",
    source="Spearman 1904; scipy.stats.spearmanr",
)
