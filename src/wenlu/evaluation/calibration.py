"""Make confidence mean what it says, and find how much of it is enough; both on validation data.

Temperature scaling (Guo, Pleiss, Sun & Weinberger 2017, On calibration of modern neural networks, arXiv:1706.04599,
section 4.2) divides all logits by one number, which leaves the answers as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.errors import DataError
from wenlu.metrics.metric import Column
from wenlu.metrics.threshold_counts import threshold_counts

Floats = np.ndarray[Any, np.dtype[np.float64]]

COLDEST, HOTTEST = 0.01, 100.0
"""Answers that are all right, or no better than chance, know no best temperature in between."""
_HALVINGS = 45


def fit_temperature(logits: Column, gold: Column) -> float:
    """The temperature with the least negative log-likelihood of `gold` (n,) under softmax(logits / T), logits (n, L).

    The likelihood is concave in 1 / T, so that halving an interval of it finds the one optimum: same data, same T.
    Raises DataError where there are no examples.
    """
    scores = _checked(logits)
    right = scores[np.arange(len(scores)), gold]

    def cost(sharpness: float) -> float:
        scaled = scores * sharpness
        top = scaled.max(axis=1)
        return float((np.log(np.exp(scaled - top[:, None]).sum(axis=1)) + top - right * sharpness).sum())

    def slope(sharpness: float) -> float:
        expected = (softmax(scores, 1 / sharpness) * scores).sum(axis=1)
        return float((expected - right).sum())

    return _best_temperature(cost, slope)


def fit_label_temperature(logits: Column, gold_labels: Column) -> float:
    """The same for labels that do not exclude each other, under sigmoid(logits / T); `gold_labels` is (n, L) 0 or 1."""
    scores = _checked(logits)
    gold = gold_labels.astype(np.float64)

    def cost(sharpness: float) -> float:
        return float((np.logaddexp(0, scores * sharpness) - gold * scores * sharpness).sum())

    def slope(sharpness: float) -> float:
        return float(((sigmoid(scores, 1 / sharpness) - gold) * scores).sum())

    return _best_temperature(cost, slope)


def softmax(logits: Column, temperature: float = 1.0) -> Floats:
    """(n, L) probabilities of classes; each row sums to 1."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    probabilities: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def sigmoid(logits: Column, temperature: float = 1.0) -> Floats:
    """(n, L) probabilities of labels, each of its own."""
    probabilities: Floats = np.exp(-np.logaddexp(0, -np.asarray(logits, dtype=np.float64) / temperature))
    return probabilities


@dataclass(frozen=True)
class Threshold:
    """Answer where the confidence is at least `value`.

    Attributes:
        precision: the share of those answers that are right, where the threshold was found.
        coverage: the share of examples that are answered.
    """

    value: float
    precision: float
    coverage: float


def threshold_for_precision(
    confidence: Column, correct: Column, target: float, *, level: float | None = None
) -> Threshold | None:
    """The lowest threshold whose answers are right at least as often as `target`; None where there is none.

    Args:
        confidence: (n,) of each answer; equal ones are answered together.
        correct: (n,) 0 or 1.
        level: if given, as 0.95, the one-sided lower Clopper-Pearson bound of the precision at this level must reach
            the target, not the precision alone. It holds for a threshold looked at alone: of many thresholds the
            luckiest is found, so measure the precision again on other data.
    """
    if len(confidence) == 0:
        raise DataError("no answers to find a threshold for: the split is empty")
    values, *counts = threshold_counts(confidence, correct, np.ones((len(confidence), 1)))
    right, wrong = (count[:, 0] for count in counts)
    answered = right + wrong
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, len(confidence) + 1)))])
    for place in np.flatnonzero(right / answered >= target)[::-1].tolist():
        if level is None or _exceeds(int(right[place]), int(wrong[place]), target, level, log_factorials):
            precision = float(right[place] / answered[place])
            return Threshold(float(values[place]), precision, float(answered[place] / len(confidence)))
    return None


def _exceeds(right: int, wrong: int, target: float, level: float, log_factorials: Floats) -> bool:
    """Whether the Clopper-Pearson bound reaches the target: were that the truth, so few errors would be rare enough."""
    if not 0 < target < 1:
        return target <= 0
    count = right + wrong
    errors = np.arange(wrong + 1)
    ways = log_factorials[count] - log_factorials[errors] - log_factorials[count - errors]
    chance = np.exp(ways + errors * math.log1p(-target) + (count - errors) * math.log(target)).sum()
    return bool(chance <= 1 - level)


def _checked(logits: Column) -> Floats:
    if len(logits) == 0:
        raise DataError("no logits to fit a temperature to: the validation split is empty")
    scores = np.asarray(logits, dtype=np.float64)
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores).all(axis=1))[0])
        raise DataError(f"logits of example {row} are not finite: {scores[row].tolist()}; did the training diverge?")
    return scores


def _best_temperature(cost: Callable[[float], float], slope: Callable[[float], float]) -> float:
    """Where `slope`, which rises with the sharpness 1 / T, crosses 0; 1 where rounding makes that no cheaper."""
    low, high = math.log(1 / HOTTEST), math.log(1 / COLDEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(math.exp(middle)) > 0 else (middle, high)
    sharpness = math.exp((low + high) / 2)
    return 1 / sharpness if cost(sharpness) < cost(1.0) else 1.0
