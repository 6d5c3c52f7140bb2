"""Errors, correlation and kappa of grades are those of the references, over the whole scale."""

from __future__ import annotations

import math
import os
import warnings

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import cohen_kappa_score, mean_absolute_error, mean_squared_error, root_mean_squared_error

from wenlu.errors import DataError
from wenlu.metrics import CONTINUOUS_KAPPA, MAE, MSE, PEARSON, RMSE, mean_by_group, quadratic_kappa

CASES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60


def test_errors_and_correlation_are_the_references() -> None:
    rng = np.random.default_rng(0)
    for count in rng.integers(2, 50, CASES):
        gold = rng.normal(rng.choice([0, 1e4]), 1, count)
        predicted = gold + rng.normal(0.5, 1, count)
        columns = {"gold": gold, "predicted": predicted}
        assert MSE.compute(columns) == pytest.approx(mean_squared_error(gold, predicted), rel=1e-12)
        assert RMSE.compute(columns) == pytest.approx(root_mean_squared_error(gold, predicted), rel=1e-12)
        assert MAE.compute(columns) == pytest.approx(mean_absolute_error(gold, predicted), rel=1e-12)
        assert PEARSON.compute(columns) == pytest.approx(pearsonr(gold, predicted).statistic, abs=1e-9)


@pytest.mark.parametrize("constant", [0.0, 3.0, 0.1, 1e6 + 0.3])
def test_a_column_of_one_value_has_no_correlation(constant: float) -> None:
    columns = {"gold": np.full(7, constant), "predicted": np.arange(7.0)}
    assert math.isnan(PEARSON.compute(columns))


def test_kappa_is_scikit_learns_with_the_whole_scale_as_labels() -> None:
    rng = np.random.default_rng(1)
    for _ in range(CASES):
        low = int(rng.integers(-2, 3))
        high = low + int(rng.integers(1, 12))
        gold, predicted = rng.integers(low, high + 1, size=(2, rng.integers(2, 40)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of one grade alone
            expected = cohen_kappa_score(gold, predicted, weights="quadratic", labels=range(low, high + 1))
        found = quadratic_kappa(low, high).compute({"gold": gold, "predicted": predicted})
        assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_a_grade_that_nobody_gives_is_not_forgotten() -> None:
    """Without labels=, scikit-learn takes grades 0, 3 and 4 for 0, 1 and 2, and 0.2 becomes 0."""
    gold, predicted = np.array([0, 0, 3]), np.array([0, 4, 3])
    assert cohen_kappa_score(gold, predicted, weights="quadratic") == pytest.approx(0)
    assert quadratic_kappa(0, 4).compute({"gold": gold, "predicted": predicted}) == pytest.approx(0.2)


def test_predicted_grades_are_clipped_and_rounded_first() -> None:
    columns = {"gold": np.array([1, 2, 3, 4]), "predicted": np.array([-7.0, 2.4, 2.6, 4.7])}
    assert quadratic_kappa(1, 4).compute(columns) == 1
    assert CONTINUOUS_KAPPA.compute(columns) < 0.7


def test_continuous_kappa_of_whole_grades_is_the_kappa() -> None:
    rng = np.random.default_rng(2)
    for _ in range(CASES):
        gold, predicted = rng.integers(1, 7, size=(2, 30))
        columns = {"gold": gold, "predicted": predicted}
        assert CONTINUOUS_KAPPA.compute(columns) == pytest.approx(quadratic_kappa(1, 6).compute(columns), abs=1e-12)


def test_continuous_kappa_is_its_formula() -> None:
    rng = np.random.default_rng(3)
    for centre in (0, 50):
        gold, predicted = rng.normal(centre, 2, size=(2, 30))
        (var_gold, cov), (_, var_predicted) = np.cov(gold, predicted, ddof=0)
        expected = 2 * cov / (var_gold + var_predicted + (gold.mean() - predicted.mean()) ** 2)
        found = CONTINUOUS_KAPPA.compute({"gold": gold, "predicted": predicted})
        assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("grade", [7.0, 0.0, 2.5, math.nan])
def test_a_gold_grade_off_the_scale_is_named(grade: float) -> None:
    columns = {"gold": np.array([1.0, grade]), "predicted": np.array([1.0, 2.0])}
    with pytest.raises(DataError, match=rf"gold grade {grade:g} is no whole number from 1 to 6"):
        quadratic_kappa(1, 6).compute(columns)


def test_one_grade_alone_has_no_kappa() -> None:
    columns = {"gold": np.full(3, 4), "predicted": np.full(3, 4)}
    assert math.isnan(quadratic_kappa(1, 6).compute(columns))
    assert math.isnan(CONTINUOUS_KAPPA.compute({"gold": np.full(3, 0.1), "predicted": np.full(3, 0.1)}))


def test_the_mean_over_prompts_is_not_the_kappa_of_all_prompts_together() -> None:
    """Within each prompt the grades say nothing; the prompts' different levels alone correlate."""
    columns = {
        "gold": np.array([1, 2, 1, 2, 5, 6, 5, 6]),
        "predicted": np.array([1, 1, 2, 2, 5, 5, 6, 6]),
        "group": np.array(["p1"] * 4 + ["p2"] * 4),
    }
    kappa = quadratic_kappa(1, 6)
    assert kappa.compute(columns) == pytest.approx(4 / 4.25)
    assert mean_by_group(kappa).compute(columns) == pytest.approx(0, abs=1e-12)


def test_the_mean_over_prompts_leaves_out_those_without_a_kappa_and_bounds_the_perfect() -> None:
    grades = {"gold": np.array([1, 2, 3, 3, 1, 2]), "predicted": np.array([1, 2, 3, 3, 2, 1])}
    mean = mean_by_group(quadratic_kappa(1, 6))
    perfect, constant, wrong = [0, 0], [1, 1], [2, 2]
    groups = np.array([*perfect, *constant, *wrong])
    assert mean.compute({**grades, "group": groups}) == pytest.approx(0, abs=1e-12)  # +0.999 and -0.999
    first = {name: column[:4] for name, column in {**grades, "group": groups}.items()}
    assert mean.compute(first) == pytest.approx(0.999)
    only_constant = {name: column[2:4] for name, column in {**grades, "group": groups}.items()}
    assert math.isnan(mean.compute(only_constant))
    assert mean.signature == (
        "mean_quadratic_kappa|labels:1..6|predicted:clipped,rounded-half-even|mean:fisher-z,clipped-0.999|groups:alike|v1"
    )
