"""The mean over examples as a ratio of two sums, which a bootstrap resamples fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from wenlu.metrics.metric import Column, Columns, Ratio

_EXAMPLES = "examples"


def mean_of(column: str) -> Ratio:
    """Reads the column and `examples`."""
    return Ratio(column, _EXAMPLES, as_it_is)


def columns_for_means(values: Mapping[str, Sequence[float]]) -> Columns:
    """The values of each example by name, and the column `examples` of ones."""
    count = len(next(iter(values.values())))
    columns = {name: np.array(entries, np.float64) for name, entries in values.items()}
    return {**columns, _EXAMPLES: np.ones(count, np.int64)}


def as_it_is(ratio: Column) -> Column:
    return ratio
