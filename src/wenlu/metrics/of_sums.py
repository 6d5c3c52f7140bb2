"""Scores that sums over the examples determine: statistics of each example, added up, and one formula at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wenlu.errors import DataError
from wenlu.metrics.metric import Columns


@dataclass(frozen=True)
class OfSums:
    """`finish(sum of the first column, sum of the second, …)`; a column of (n, k) sums to (k,)."""

    columns: tuple[str, ...]
    finish: Callable[..., float]

    def __call__(self, columns: Columns) -> float:
        """Raises DataError where there are no examples."""
        if len(columns[self.columns[0]]) == 0:
            raise DataError(f"no examples to sum {self.columns[0]} over: the split is empty")
        return float(self.finish(*(columns[name].sum(axis=0) for name in self.columns)))
