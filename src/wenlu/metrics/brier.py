"""Brier score: the squared distance of the probabilities from the answer."""

from __future__ import annotations

import numpy as np

from wenlu.metrics.metric import Column, Metric, OfSums, mean, with_count


def _squared_distances(gold: Column, probabilities: Column) -> Column:
    hit = gold[:, None] == np.arange(probabilities.shape[1])
    return with_count(((probabilities - hit) ** 2).sum(axis=1))


BRIER = Metric(
    name="brier",
    unit="score",
    better="lower",
    needs=("gold", "probabilities"),
    compute=OfSums(("gold", "probabilities"), mean, _squared_distances),
    signature="brier|sum-over-classes|range:0..2|v1",
    source="Brier 1950, Verification of forecasts expressed in terms of probability; sklearn.metrics.brier_score_loss "
    "with scale_by_half=False",
)
"""Summed over all classes, as Brier did: of two classes, twice what counts the positive one alone."""
