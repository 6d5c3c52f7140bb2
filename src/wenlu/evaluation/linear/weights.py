"""What a linear model has learnt: a weight for each feature and output, and a bias."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from wenlu.evaluation.linear.groups import Floats, Sparse

Reads = Literal["value", "presence", "mean"]
ODDS = 10.0
"""The logarithm of the odds of a label that all training texts have, or none."""


@dataclass(frozen=True)
class Weights:
    """Scores are values · weightsᵀ + bias.

    Attributes:
        weights: (L, F), of numbers that float32 holds, so that a stored model says the same.
        bias: (L,).
        reads: of a feature its value; whether it is there ("presence"); or that as a share of those that are ("mean").
    """

    weights: Floats
    bias: Floats
    reads: Reads = "value"

    @classmethod
    def of(cls, weights: Floats, bias: Floats, *, reads: Reads = "value") -> Weights:
        return cls(_rounded(weights), _rounded(bias), reads)

    def values(self, rows: Sparse) -> Sparse:
        """Rows (n, F) of features as the weights multiply them."""
        if self.reads == "value":
            return rows
        there = rows.sign()
        if self.reads == "presence":
            return there
        return there.multiply(1 / np.maximum(1, there.getnnz(axis=1))[:, None]).tocsr()

    def scores(self, rows: Sparse) -> Floats:
        """(n, L)."""
        found: Floats = np.asarray(self.values(rows) @ self.weights.T) + self.bias
        return found


Fit = Callable[[Sparse, np.ndarray[Any, np.dtype[np.bool_]]], tuple[Floats, float]]


def each_label(
    fit: Fit, rows: Sparse, holds: np.ndarray[Any, Any], *, several: bool, reads: Reads = "value"
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
    return Weights.of(weights, bias, reads=reads)


def _rounded(values: Floats) -> Floats:
    return values.astype(np.float32).astype(np.float64)
