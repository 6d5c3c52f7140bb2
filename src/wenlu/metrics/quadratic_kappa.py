"""Quadratic weighted kappa: how well two raters agree beyond chance, where an error costs the square of its size.

With the whole scale as labels its usual form, one minus the ratio of observed to expected weighted disagreement, is
2 cov / (var + var + (difference of means)²); there, no grade that nobody gives can be forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wenlu.errors import DataError
from wenlu.metrics.metric import Column, Metric, OfSums, quotient
from wenlu.metrics.moments import Moments, powers


@dataclass(frozen=True)
class _OnScale:
    """`powers` of the grades: gold ones checked, predicted ones clipped to the scale, then rounded to it."""

    low: int
    high: int

    def __call__(self, gold: Column, predicted: Column) -> Column:
        wrong = gold[(gold != np.rint(gold)) | (gold < self.low) | (gold > self.high)]
        if len(wrong):
            raise DataError(
                f"gold grade {wrong[0]:g} is no whole number from {self.low} to {self.high}: "
                f"give the kappa the whole scale, or round the grades"
            )
        return _near_zero(gold, np.rint(np.clip(predicted, self.low, self.high)))


def _near_zero(gold: Column, predicted: Column) -> Column:
    centre = np.median(gold)
    return powers(gold - centre, predicted - centre)


def _agreement(sums: Column) -> Column:
    moments = Moments.of(sums)
    disagreement = moments.gold_variance + moments.predicted_variance + moments.squared_shift
    return quotient(2 * moments.covariance, disagreement)


def quadratic_kappa(low: int, high: int) -> Metric:
    """Of grades from `low` to `high`; nan where all are the same. Ties of rounding go to the even grade."""
    assert low < high, f"no scale from {low} to {high}"
    return Metric(
        name="quadratic_kappa",
        unit="kappa",
        better="higher",
        needs=("gold", "predicted"),
        compute=OfSums(("gold", "predicted"), _agreement, _OnScale(low, high)),
        signature=f"quadratic_kappa|labels:{low}..{high}|predicted:clipped,rounded-half-even|v1",
        source="Cohen 1968, Weighted kappa; sklearn.metrics.cohen_kappa_score with weights='quadratic' and labels=",
    )


CONTINUOUS_KAPPA = Metric(
    name="continuous_kappa",
    unit="kappa",
    better="higher",
    needs=("gold", "predicted"),
    compute=OfSums(("gold", "predicted"), _agreement, _near_zero),
    signature="continuous_kappa|predicted:as-is|ddof:0|v1",
    source="Haberman 2019, Measures of agreement versus measures of prediction accuracy; rsmtool's QWK",
)
"""The same of grades that are not rounded; also Lin's concordance correlation coefficient."""
