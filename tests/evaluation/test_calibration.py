"""Temperatures are optimal and change no answer; thresholds reach what they promise."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import beta

from wenlu.errors import DataError
from wenlu.evaluation.calibration import (
    COLDEST,
    HOTTEST,
    Threshold,
    fit_label_temperature,
    fit_temperature,
    sigmoid,
    softmax,
    threshold_for_precision,
)
from wenlu.metrics import EXPECTED_CALIBRATION_ERROR, NEGATIVE_LOG_LIKELIHOOD

CASES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60

seeds = st.integers(0, 2**32 - 1)


def examples(seed: int, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Logits of any scale, and gold classes that they are more or less right about."""
    rng = np.random.default_rng(seed)
    count, classes = count or int(rng.integers(1, 80)), int(rng.integers(2, 7))
    gold = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes)) + rng.uniform(0, 3) * np.eye(classes)[gold]
    return logits * 10 ** rng.uniform(-1, 2), gold


def cost(logits: np.ndarray, gold: np.ndarray, temperature: float) -> float:
    with np.errstate(under="ignore"):
        scaled = logits / temperature
        return float((np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(len(gold)), gold]).sum())


def label_cost(logits: np.ndarray, gold: np.ndarray, temperature: float) -> float:
    signed = np.where(gold == 1, logits, -logits) / temperature
    return float(np.logaddexp(0, -signed).sum())


@settings(max_examples=CASES)
@given(seeds)
def test_the_likelihood_is_never_worse_than_before(seed: int) -> None:
    logits, gold = examples(seed)
    before = cost(logits, gold, 1.0)
    assert cost(logits, gold, fit_temperature(logits, gold)) <= before * (1 + 1e-12)
    labels = np.eye(logits.shape[1], dtype=np.int64)[gold]
    before = label_cost(logits, labels, 1.0)
    assert label_cost(logits, labels, fit_label_temperature(logits, labels)) <= before * (1 + 1e-12)


@settings(max_examples=CASES)
@given(seeds)
def test_no_temperature_in_bounds_is_better_by_scipys_search(seed: int) -> None:
    logits, gold = examples(seed, count=50)
    labels = np.eye(logits.shape[1], dtype=np.int64)[gold]
    for found, of in (
        (fit_temperature(logits, gold), lambda log_t: cost(logits, gold, np.exp(log_t))),
        (fit_label_temperature(logits, labels), lambda log_t: label_cost(logits, labels, np.exp(log_t))),
    ):
        assert COLDEST * (1 - 1e-9) <= found <= HOTTEST * (1 + 1e-9)
        best = minimize_scalar(of, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded").fun
        assert of(np.log(found)) <= best + 1e-9 * abs(best)


@settings(max_examples=CASES)
@given(seeds)
def test_a_temperature_changes_no_answer(seed: int) -> None:
    logits, gold = examples(seed)
    before = logits.argmax(axis=1)
    temperature = fit_temperature(logits, gold)
    np.testing.assert_array_equal((logits / temperature).argmax(axis=1), before)
    after = softmax(logits, temperature)
    assert (after[np.arange(len(gold)), before] == after.max(axis=1)).all()  # others may round to the same 1 or 0
    np.testing.assert_allclose(after.sum(axis=1), 1)
    np.testing.assert_array_equal(sigmoid(logits, temperature) > 0.5, sigmoid(logits) > 0.5)


@settings(max_examples=CASES // 6)
@given(seeds, st.floats(0.2, 8))
def test_a_planted_temperature_is_found_within_five_percent(seed: int, planted: float) -> None:
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(10_000, 4))
    gold = (rng.random(10_000)[:, None] > softmax(logits).cumsum(axis=1)[:, :-1]).sum(axis=1)
    assert fit_temperature(logits * planted, gold) == pytest.approx(planted, rel=0.05)
    labels = (rng.random(logits.shape) < sigmoid(logits)).astype(np.int64)
    assert fit_label_temperature(logits * planted, labels) == pytest.approx(planted, rel=0.05)


def test_overconfident_answers_become_calibrated_on_other_data() -> None:
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(8000, 4))
    gold = (rng.random(8000)[:, None] > softmax(logits).cumsum(axis=1)[:, :-1]).sum(axis=1)
    sure = 3 * logits
    temperature = fit_temperature(sure[:4000], gold[:4000])
    before = {"gold": gold[4000:], "probabilities": softmax(sure[4000:])}
    after = {"gold": gold[4000:], "probabilities": softmax(sure[4000:], temperature)}
    assert EXPECTED_CALIBRATION_ERROR.compute(before) > 0.1
    assert EXPECTED_CALIBRATION_ERROR.compute(after) < 0.03
    assert NEGATIVE_LOG_LIKELIHOOD.compute(after) < NEGATIVE_LOG_LIKELIHOOD.compute(before)


def test_answers_that_are_all_right_or_all_wrong_stop_at_the_bounds() -> None:
    logits = np.array([[2.0, 0.0], [0.0, 3.0]])
    assert fit_temperature(logits, np.array([1, 0])) == pytest.approx(HOTTEST)
    assert softmax(logits, fit_temperature(logits, np.array([0, 1]))).max(axis=1) == pytest.approx([1, 1])
    assert fit_temperature(logits / 1000, np.array([0, 1])) == pytest.approx(COLDEST)


def test_logits_that_cannot_be_fitted_are_named() -> None:
    with pytest.raises(DataError, match=r"logits of example 1 are not finite: \[nan, 0\.0\]; did the training diverge"):
        fit_temperature(np.array([[1.0, 0.0], [np.nan, 0.0]]), np.array([0, 1]))
    with pytest.raises(DataError, match="the validation split is empty"):
        fit_label_temperature(np.zeros((0, 3)), np.zeros((0, 3)))


def answers(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Confidence in twentieths, so that many are equal, and answers that are right about as often."""
    rng = np.random.default_rng(seed)
    confidence = rng.integers(0, 21, rng.integers(1, 60)) / 20
    return confidence, rng.random(len(confidence)) < confidence


@settings(max_examples=CASES)
@given(seeds, st.floats(0.01, 1), st.sampled_from([None, 0.8, 0.95]))
def test_a_threshold_is_the_lowest_that_reaches_the_target(seed: int, target: float, level: float | None) -> None:
    confidence, correct = answers(seed)
    reaching = []
    for value in np.unique(confidence):
        answered = confidence >= value
        right, wrong = int(correct[answered].sum()), int((~correct[answered]).sum())
        bound = right / (right + wrong) if level is None else beta.ppf(1 - level, right, wrong + 1) if right else 0.0
        assert level is None or abs(bound - target) > 1e-9
        if bound >= target:
            reaching.append(value)
    found = threshold_for_precision(confidence, correct, target, level=level)
    assert (found.value if found else None) == (min(reaching) if reaching else None)
    if found:
        answered = confidence >= found.value
        assert found.precision == correct[answered].mean() >= target
        assert found.coverage == answered.mean()


def test_a_threshold_by_hand() -> None:
    confidence = np.array([0.9, 0.8, 0.8, 0.6, 0.3])
    correct = np.array([1, 1, 0, 1, 0])
    assert threshold_for_precision(confidence, correct, 0.75) == Threshold(0.6, precision=3 / 4, coverage=4 / 5)
    assert threshold_for_precision(confidence, correct, 0.8) == Threshold(0.9, precision=1.0, coverage=1 / 5)
    assert threshold_for_precision(confidence, 1 - correct, 0.5) is None
    assert threshold_for_precision(confidence, correct, 0.8, level=0.95) is None


def test_a_bound_asks_for_more_answers_than_a_share_does() -> None:
    """Of n right answers and none wrong the bound at 95 % is 0.05 to the power of 1 / n: 0.9 takes 29 of them."""
    for count, reached in ((28, False), (29, True)):
        found = threshold_for_precision(np.full(count, 0.7), np.ones(count), 0.9, level=0.95)
        assert (found is not None) == reached


def test_no_answers_have_no_threshold() -> None:
    with pytest.raises(DataError, match="the split is empty"):
        threshold_for_precision(np.array([]), np.array([]), 0.9)
