"""What a metric says of itself."""

from __future__ import annotations

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
        signature: the conventions in one line that ends in a version, so that two scores can be told comparable.
        source: paper or reference implementation.
    """

    name: str
    unit: str
    better: Literal["higher", "lower"]
    needs: tuple[str, ...]
    compute: Callable[[Columns], float]
    signature: str
    source: str

    def sign(self, conventions: Mapping[str, object]) -> str:
        """The signature with the conventions of one measurement before its version: `…|ctx:512|stride:256|v1`."""
        *fixed, version = self.signature.split("|")
        return "|".join([*fixed, *(f"{key}:{value}" for key, value in conventions.items()), version])
