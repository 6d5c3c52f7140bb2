"""Areas under curves are those of scikit-learn and do not depend on the order of equal scores."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from wenlu.metrics import AUPRC, AUROC, MACRO_AUPRC, MACRO_AUROC, Columns

CASES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60


def cases(classes: tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Gold classes, some absent, and probabilities in tenths, so that many are equal."""
    rng = np.random.default_rng(0)
    made = []
    for count, size in zip(rng.integers(2, 60, CASES), rng.integers(*classes, CASES), strict=True):
        gold = rng.integers(0, rng.integers(1, size + 1), count)
        made.append((gold, rng.multinomial(10, np.full(size, 1 / size), count) / 10))
    return made


def test_of_two_classes_they_are_scikit_learns() -> None:
    for gold, probabilities in cases((2, 3)):
        columns = {"gold": gold, "probabilities": probabilities}
        if gold.any() and not gold.all():
            assert AUROC.compute(columns) == pytest.approx(roc_auc_score(gold, probabilities[:, 1]), abs=1e-12)
        if gold.any():
            expected = average_precision_score(gold, probabilities[:, 1])
            assert AUPRC.compute(columns) == pytest.approx(expected, abs=1e-12)


def test_of_many_classes_they_are_the_means_of_scikit_learns_for_the_classes_that_occur() -> None:
    for gold, probabilities in cases((2, 9)):
        columns = {"gold": gold, "probabilities": probabilities}
        present = [label for label in range(probabilities.shape[1]) if (gold == label).any()]
        split = [label for label in present if not (gold == label).all()]
        roc = [roc_auc_score(gold == label, probabilities[:, label]) for label in split]
        assert MACRO_AUROC.compute(columns) == pytest.approx(np.mean(roc) if roc else math.nan, abs=1e-12, nan_ok=True)
        precision = [average_precision_score(gold == label, probabilities[:, label]) for label in present]
        assert MACRO_AUPRC.compute(columns) == pytest.approx(np.mean(precision), abs=1e-12)


def test_of_all_classes_macro_auroc_is_scikit_learns_one_vs_rest() -> None:
    rng = np.random.default_rng(1)
    gold, probabilities = np.arange(40) % 4, rng.dirichlet(np.ones(4), 40)
    expected = roc_auc_score(gold, probabilities, multi_class="ovr")
    assert MACRO_AUROC.compute({"gold": gold, "probabilities": probabilities}) == pytest.approx(expected, abs=1e-12)


def of(gold: list[int], scores: list[float]) -> Columns:
    positive = np.array(scores)
    return {"gold": np.array(gold), "probabilities": np.stack([1 - positive, positive], axis=1)}


@pytest.mark.parametrize("gold", [[0, 1, 1, 0, 1], [1, 1, 1, 0, 0], [0, 0, 1, 1, 1]])
def test_scores_that_are_all_equal_know_nothing(gold: list[int]) -> None:
    assert AUROC.compute(of(gold, [0.5] * 5)) == 0.5
    assert AUPRC.compute(of(gold, [0.5] * 5)) == pytest.approx(3 / 5)


def test_one_class_alone_has_no_area_and_no_warning() -> None:
    assert math.isnan(AUROC.compute(of([1, 1], [0.2, 0.3])))
    assert math.isnan(AUROC.compute(of([0, 0], [0.2, 0.3])))
    assert math.isnan(MACRO_AUROC.compute(of([0, 0], [0.2, 0.3])))
    assert math.isnan(AUPRC.compute(of([0, 0], [0.2, 0.3])))
    assert AUPRC.compute(of([1, 1], [0.2, 0.3])) == 1
