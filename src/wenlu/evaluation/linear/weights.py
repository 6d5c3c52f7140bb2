"""What a linear model has learnt: a weight for each feature and output, and a bias."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.evaluation.linear.groups import Floats, Sparse

ODDS = 10.0
"""The logarithm of the odds of a label that all training texts have, or none."""


@dataclass(frozen=True)
class Weights:
    """Scores are values · weightsᵀ + bias.

    Attributes:
        weights: (L, F), of numbers that float32 holds, so that a stored model says the same.
        bias: (L,).
        presence: of a feature counts whether it is there, not how much.
    """

    weights: Floats
    bias: Floats
    presence: bool = False

    @classmethod
    def of(cls, weights: Floats, bias: Floats, *, presence: bool = False) -> Weights:
        return cls(_rounded(weights), _rounded(bias), presence)

    def values(self, rows: Sparse) -> Sparse:
        """Rows (n, F) of features as the weights multiply them."""
        return rows.sign() if self.presence else rows

    def scores(self, rows: Sparse) -> Floats:
        """(n, L)."""
        found: Floats = np.asarray(self.values(rows) @ self.weights.T) + self.bias
        return found


Fit = Callable[[Sparse, np.ndarray[Any, np.dtype[np.bool_]]], tuple[Floats, float]]


def each_label(
    fit: Fit, rows: Sparse, holds: np.ndarray[Any, Any], *, several: bool, presence: bool = False
) -> Weights:
    """One model for each label against the others; of two that exclude each other one model for both, whose score each
    has half of, so that softmax of the two is the sigmoid of it.

    Args:
        fit: from rows (n, F) and which of them a label holds for, to weights (F,) and bias.
        holds: (n, L) of 0 and 1.
    """
    count = holds.shape[1]
    pair = count == 2 and not several
    weights, bias = np.zeros((count, rows.shape[1])), np.zeros(count)
    for label in (1,) if pair else range(count):
        is_it = holds[:, label].astype(bool)
        if is_it.all() or not is_it.any():
            bias[label] = ODDS if is_it.any() else -ODDS
        else:
            weights[label], bias[label] = fit(rows, is_it)
    if pair:
        weights[1], bias[1] = weights[1] / 2, bias[1] / 2
        weights[0], bias[0] = -weights[1], -bias[1]
    return Weights.of(weights, bias, presence=presence)


def _rounded(values: Floats) -> Floats:
    return values.astype(np.float32).astype(np.float64)
