"""Expected calibration error: how far confidence lies from accuracy, in bins of confidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wenlu.metrics.metric import Column, Columns, Metric, OfSums

BINS = 15


@dataclass(frozen=True)
class Bin:
    """Examples whose confidence is over `low`, and at most `high`; the first bin includes 0.

    Attributes:
        confidence, accuracy: means, None where the bin is empty.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


def reliability(columns: Columns, bins: int = BINS) -> list[Bin]:
    """All bins from low to high, for a plot; from `gold` and `probabilities`."""
    confidence, correct = _answers(columns["gold"], columns["probabilities"])
    edges, index = np.linspace(0, 1, bins + 1).tolist(), _bin_of(confidence, bins)
    rows = []
    for place in range(bins):
        here = index == place
        count = int(here.sum())
        means = (float(confidence[here].mean()), float(correct[here].mean())) if count else (None, None)
        rows.append(Bin(edges[place], edges[place + 1], count, *means))
    return rows


def _answers(gold: Column, probabilities: Column) -> tuple[Column, Column]:
    """How sure of the likeliest class, and whether it is right."""
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == gold


def _bin_of(confidence: Column, bins: int) -> Column:
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence, side="left")


@dataclass(frozen=True)
class _Gaps:
    """(n, bins + 1): how much too sure the answer is, in the place of its bin; and 1."""

    bins: int

    def __call__(self, gold: Column, probabilities: Column) -> Column:
        confidence, correct = _answers(gold, probabilities)
        gaps = np.zeros((len(gold), self.bins + 1))
        gaps[np.arange(len(gold)), _bin_of(confidence, self.bins)] = confidence - correct
        gaps[:, -1] = 1
        return gaps


def _total(sums: Column) -> Column:
    error: Column = np.abs(sums[..., :-1]).sum(axis=-1) / sums[..., -1]
    return error


def calibration_error(bins: int) -> Metric:
    assert bins > 0, "no bins"
    return Metric(
        name="expected_calibration_error",
        unit="fraction",
        better="lower",
        needs=("gold", "probabilities"),
        compute=OfSums(("gold", "probabilities"), _total, _Gaps(bins)),
        signature=f"expected_calibration_error|confidence:max|bins:{bins},equal-width,right-closed|v1",
        source="Guo, Pleiss, Sun & Weinberger 2017, On calibration of modern neural networks, arXiv:1706.04599, eq. 3",
    )


EXPECTED_CALIBRATION_ERROR = calibration_error(BINS)
"""Biased upwards where bins hold few examples: compare only at one number of examples."""
