"""Sums of powers of two columns: all that correlation and quadratic kappa need to know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wenlu.metrics.metric import Column

NUM_POWERS = 6
ROUNDING = 1e-13
"""A spread below this share of the squares that it is the difference of is no spread."""


def powers(gold: Column, predicted: Column) -> Column:
    """(n, 6) of numbers that are near 0 already: squares of large ones would leave no digits for the spread."""
    return np.stack([np.ones(len(gold)), gold, predicted, gold**2, predicted**2, gold * predicted], axis=1)


@dataclass(frozen=True)
class Moments:
    """n² times each, so that sums of whole numbers stay whole; a spread that is only rounding is 0."""

    gold_variance: Column
    predicted_variance: Column
    covariance: Column
    squared_shift: Column
    """The squared difference of the means."""

    @classmethod
    def of(cls, sums: Column) -> Moments:
        """From (..., 6) sums of `powers`."""
        count, gold, predicted, gold_squares, predicted_squares, products = np.moveaxis(sums, -1, 0)
        return cls(
            gold_variance=_less(count * gold_squares, gold**2),
            predicted_variance=_less(count * predicted_squares, predicted**2),
            covariance=count * products - gold * predicted,
            squared_shift=(gold - predicted) ** 2,
        )


def _less(whole: Column, part: Column) -> Column:
    return np.where(whole - part > ROUNDING * whole, whole - part, 0.0)
