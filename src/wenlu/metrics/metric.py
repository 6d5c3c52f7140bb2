"""What a metric says of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from wenlu.errors import DataError

Column = np.ndarray[Any, np.dtype[Any]]
Columns = Mapping[str, Column]
"""Aligned arrays, one entry an example; a resample indexes all of them alike."""


@dataclass(frozen=True)
class Ratio:
    """`finish(sum of one column / sum of another)`: a metric that a bootstrap resamples by sums alone.

    Attributes:
        finish: monotone and elementwise, so that it takes one ratio or an array of resampled ones.
    """

    numerator: str
    denominator: str
    finish: Callable[[Column], Column]

    def __call__(self, columns: Columns) -> float:
        """Raises DataError where the denominator sums to nothing."""
        total = columns[self.denominator].sum(dtype=np.float64)
        if not total > 0:
            raise DataError(f"no {self.denominator} to divide {self.numerator} by: the texts are empty")
        return float(self.finish(np.asarray(columns[self.numerator].sum(dtype=np.float64) / total)))


def exponential(nats: Column) -> Column:
    """e to the nats; infinite, without a warning, where a double cannot hold it."""
    with np.errstate(over="ignore"):
        return np.exp(nats)


def quotient(numerator: Column, denominator: Column, *, otherwise: float = np.nan) -> Column:
    """Elementwise, without a warning; `otherwise` where the denominator is not positive."""
    quotients: Column = np.full(np.shape(numerator), otherwise, dtype=np.float64)
    np.divide(numerator, denominator, out=quotients, where=np.asarray(denominator) > 0)
    return quotients


def _side_by_side(*columns: Column) -> Column:
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class OfSums:
    """`finish(what each statistic sums to)`: a metric that a bootstrap resamples by sums alone, whatever its shape.

    Attributes:
        columns: the names of what `statistics` takes, in its order.
        finish: (..., K) sums to (...) values, so that it takes those of all examples or of many resamples; nan where
            the value is not defined.
        statistics: columns to (n, K), one row an example; without it the columns stand side by side.
    """

    columns: tuple[str, ...]
    finish: Callable[[Column], Column]
    statistics: Callable[..., Column] = _side_by_side

    def __call__(self, columns: Columns) -> float:
        """Raises DataError where there are no examples."""
        return float(self.finish(self.of_examples(columns).sum(axis=0, dtype=np.float64)))

    def of_examples(self, columns: Columns) -> Column:
        """(n, K) statistics, of any type of number. Raises DataError where there are no examples."""
        if len(columns[self.columns[0]]) == 0:
            raise DataError(f"no examples to sum {', '.join(self.columns)} of: the split is empty")
        return self.statistics(*(columns[name] for name in self.columns))


def with_count(values: Column) -> Column:
    """(n, 2): each value, and 1; `mean` finishes their sums."""
    return np.stack([values, np.ones(len(values))], axis=1)


def mean(sums: Column) -> Column:
    """(..., 2) sums and counts to (...) means."""
    return quotient(sums[..., 0], sums[..., 1])


class OfDraws(ABC):
    """A metric that takes how often each example is drawn, so that a bootstrap need not sort every resample anew."""

    @abstractmethod
    def of_draws(self, columns: Columns, times: Column) -> Column:
        """(R,) values from (n, R) float64 whole numbers; nan where the value is not defined."""

    def __call__(self, columns: Columns) -> float:
        """Raises DataError where there are no examples."""
        name, column = next(iter(columns.items()))
        if len(column) == 0:
            raise DataError(f"no examples to rank by {name}: the split is empty")
        return float(self.of_draws(columns, np.ones((len(column), 1)))[0])


@dataclass(frozen=True)
class Fraction:
    """The share of examples whose entry in `column` is 1, not 0."""

    column: str

    def __call__(self, columns: Columns) -> float:
        """Raises DataError where there are no examples."""
        if len(columns[self.column]) == 0:
            raise DataError(f"no examples to take the share of {self.column} from: the split is empty")
        return float(columns[self.column].mean())


@dataclass(frozen=True)
class Metric:
    """A pure function of `Columns`, with its conventions.

    Attributes:
        needs: names of the columns that `compute` reads.
        is_resampled: whether a bootstrap of examples says how sure the value is.
        signature: the conventions in one line that ends in a version, so that two scores can be told comparable.
        source: paper or reference implementation.
    """

    name: str
    unit: str
    better: Literal["higher", "lower", "neither"]
    needs: tuple[str, ...]
    compute: Callable[[Columns], float]
    signature: str
    source: str
    is_resampled: bool = True

    def sign(self, conventions: Mapping[str, object]) -> str:
        """The signature with the conventions of one measurement before its version: `…|ctx:512|stride:256|v1`."""
        *fixed, version = self.signature.split("|")
        return "|".join([*fixed, *(f"{key}:{value}" for key, value in conventions.items()), version])
