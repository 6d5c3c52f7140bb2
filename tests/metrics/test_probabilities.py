"""Brier score and likelihood are scikit-learn's; the calibration error is a plain count over bins."""

from __future__ import annotations

import math
import os
from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from wenlu.metrics import (
    BRIER,
    EXPECTED_CALIBRATION_ERROR,
    NEGATIVE_LOG_LIKELIHOOD,
    Bin,
    Columns,
    calibration_error,
    reliability,
)

CASES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60


def cases() -> list[Columns]:
    rng = np.random.default_rng(0)
    return [
        {"gold": rng.integers(0, classes, count), "probabilities": rng.dirichlet(np.full(classes, 0.5), count)}
        for classes, count in rng.integers([2, 1], [9, 60], size=(CASES, 2))
    ]


def test_brier_and_likelihood_are_scikit_learns() -> None:
    for columns in cases():
        gold, probabilities = columns["gold"], columns["probabilities"]
        labels = list(range(probabilities.shape[1]))
        expected = log_loss(gold, probabilities, labels=labels)
        if (probabilities[np.arange(len(gold)), gold] > 1e-12).all():  # below, the reference clips
            assert NEGATIVE_LOG_LIKELIHOOD.compute(columns) == pytest.approx(expected, rel=1e-9)
        if len(labels) > 2:
            brier = brier_score_loss(gold, probabilities, labels=labels, scale_by_half=False)
        else:
            brier = 2 * brier_score_loss(gold, probabilities[:, 1], labels=labels, scale_by_half=True)
        assert BRIER.compute(columns) == pytest.approx(brier, abs=1e-12)


def test_a_right_class_of_probability_zero_costs_infinity_without_a_warning() -> None:
    columns = {"gold": np.array([0, 1]), "probabilities": np.array([[0.5, 0.5], [1.0, 0.0]])}
    assert NEGATIVE_LOG_LIKELIHOOD.compute(columns) == math.inf


@pytest.mark.parametrize("bins", [1, 3, 15])
def test_calibration_error_is_the_weighted_gap_of_the_bins(bins: int) -> None:
    for columns in cases():
        confidence = columns["probabilities"].max(axis=1)
        correct = columns["probabilities"].argmax(axis=1) == columns["gold"]
        edges, expected = np.linspace(0, 1, bins + 1), 0.0
        for low, high in pairwise(edges):
            here = (confidence > low) & (confidence <= high)
            if here.any():
                expected += here.mean() * abs(confidence[here].mean() - correct[here].mean())
        assert calibration_error(bins).compute(columns) == pytest.approx(expected, abs=1e-12)
        drawn = sum(b.count * abs(b.confidence - b.accuracy) for b in reliability(columns, bins) if b.count)
        assert drawn / len(confidence) == pytest.approx(expected, abs=1e-12)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    columns = {"gold": np.array([0, 1, 1]), "probabilities": np.array([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])}
    assert reliability(columns, bins=4) == [
        Bin(0.0, 0.25, 0, None, None),
        Bin(0.25, 0.5, 1, 0.5, 1.0),
        Bin(0.5, 0.75, 1, 0.75, 1.0),
        Bin(0.75, 1.0, 1, 1.0, 0.0),
    ]


def test_answers_that_are_right_as_often_as_they_say_are_calibrated() -> None:
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(3), 50_000)
    gold = (rng.random(50_000)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1)
    assert EXPECTED_CALIBRATION_ERROR.compute({"gold": gold, "probabilities": probabilities}) < 0.01
    sure = np.eye(3)[probabilities.argmax(axis=1)]
    accuracy = (probabilities.argmax(axis=1) == gold).mean()
    found = EXPECTED_CALIBRATION_ERROR.compute({"gold": gold, "probabilities": sure})
    assert found == pytest.approx(1 - accuracy)
