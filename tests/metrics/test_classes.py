"""Metrics of classes and of label sets are those of scikit-learn, absent classes and single ones included."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as oracle

from wenlu import metrics as ours
from wenlu.metrics import ClassRow, Metric, confusion_matrix, per_class

CASES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60

OF_CLASSES = {
    ours.BALANCED_ACCURACY: oracle.balanced_accuracy_score,
    ours.MCC: oracle.matthews_corrcoef,
    **{
        getattr(ours, f"{average}_{name}".upper()): partial(
            getattr(oracle, f"{name}_score"), average=average, zero_division=0
        )
        for average in ("macro", "micro", "weighted")
        for name in ("precision", "recall", "f1")
    },
}
OF_LABELS = {
    ours.MULTILABEL_MACRO_F1: partial(oracle.f1_score, average="macro", zero_division=0),
    ours.MULTILABEL_MICRO_F1: partial(oracle.f1_score, average="micro", zero_division=0),
    ours.MULTILABEL_SAMPLES_F1: partial(oracle.f1_score, average="samples", zero_division=0),
    ours.SUBSET_ACCURACY: oracle.accuracy_score,
}


def class_cases() -> list[tuple[np.ndarray, np.ndarray]]:
    """Of 1 to 12 classes and 1 to 40 examples: many classes are absent from one side, or from both."""
    rng = np.random.default_rng(0)
    sizes = rng.integers([1, 1], [13, 41], size=(CASES, 2))
    return [(rng.integers(0, classes, count), rng.integers(0, classes, count)) for classes, count in sizes]


@pytest.mark.parametrize(
    ("metric", "reference"), list(OF_CLASSES.items()), ids=lambda value: getattr(value, "name", "")
)
def test_a_metric_of_classes_is_scikit_learns(metric: Metric, reference: Callable[..., Any]) -> None:
    for gold, predicted in class_cases():
        found = metric.compute({"gold": gold, "predicted": predicted})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of single classes, and of predicted ones that are never gold
            expected = reference(gold, predicted)
        assert found == pytest.approx(expected, abs=1e-12), (gold, predicted)


@pytest.mark.parametrize(("metric", "reference"), list(OF_LABELS.items()), ids=lambda value: getattr(value, "name", ""))
def test_a_metric_of_label_sets_is_scikit_learns(metric: Metric, reference: Callable[..., Any]) -> None:
    rng = np.random.default_rng(1)
    for labels, count in rng.integers([2, 1], [8, 41], size=(CASES, 2)):
        gold, predicted = (rng.random((2, count, labels)) < rng.random((2, 1, labels))).astype(np.int64)
        found = metric.compute({"gold_labels": gold, "predicted_labels": predicted})
        assert found == pytest.approx(reference(gold, predicted), abs=1e-12)


def test_the_table_and_the_matrix_are_scikit_learns() -> None:
    for gold, predicted in class_cases():
        columns, labels = {"gold": gold, "predicted": predicted}, list(range(13))
        rows = per_class(columns, [str(label) for label in labels])
        expected = oracle.precision_recall_fscore_support(gold, predicted, labels=labels, zero_division=0)
        found = [(row.precision, row.recall, row.f1, row.support) for row in rows]
        np.testing.assert_allclose(found, np.transpose(expected), atol=1e-12)
        matrix = confusion_matrix(columns, 13)
        np.testing.assert_array_equal(matrix, oracle.confusion_matrix(gold, predicted, labels=labels))


def test_the_table_keeps_the_order_of_the_labels_and_a_label_that_never_occurs() -> None:
    columns = {"gold": np.array([0, 0, 2]), "predicted": np.array([0, 2, 2])}
    assert per_class(columns, ["财经", "sport", "arts"]) == [
        ClassRow("财经", precision=1.0, recall=0.5, f1=2 / 3, support=2),
        ClassRow("sport", precision=0.0, recall=0.0, f1=0.0, support=0),
        ClassRow("arts", precision=0.5, recall=1.0, f1=2 / 3, support=1),
    ]
    assert confusion_matrix(columns, 3).tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 1]]


def test_micro_macro_and_weighted_f1_tell_a_rare_class_apart() -> None:
    """Nine of class 0 and one of class 1, all called 0: F1 of the classes is 18/19 and 0."""
    columns = {"gold": np.array([0] * 9 + [1]), "predicted": np.zeros(10, dtype=np.int64)}
    assert ours.MICRO_F1.compute(columns) == pytest.approx(0.9)
    assert ours.WEIGHTED_F1.compute(columns) == pytest.approx(0.9 * 18 / 19)
    assert ours.MACRO_F1.compute(columns) == pytest.approx(9 / 19)
    assert ours.MCC.compute(columns) == 0


def test_macro_f1_of_labels_counts_a_label_that_never_occurs_and_of_classes_does_not() -> None:
    labels = np.array([[1, 0, 0], [0, 1, 0]])
    assert ours.MULTILABEL_MACRO_F1.compute({"gold_labels": labels, "predicted_labels": labels}) == pytest.approx(2 / 3)
    classes = np.array([0, 2])
    assert ours.MACRO_F1.compute({"gold": classes, "predicted": classes}) == 1
