"""What every metric owes: a row, a signature, bounds, perfect and worst case, and no care for the order of examples."""

import importlib
import math
import pkgutil
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

import wenlu.metrics
from wenlu.errors import DataError
from wenlu.metrics import (
    METRICS,
    TEXT_METRICS,
    Columns,
    Fraction,
    Metric,
    OfDraws,
    OfSums,
    RankCorrelation,
    Ratio,
    calibration_error,
    mean_by_group,
    ndcg,
    quadratic_kappa,
    recall_at,
)

MADE = (
    calibration_error(2),
    mean_by_group(quadratic_kappa(1, 4)),
    ndcg(2),
    quadratic_kappa(1, 4),
    recall_at(1),
)
"""Metrics that are made for a number."""

COLUMNS = {
    "nll_nats": np.array([3.0, 0.5, 7.25, 2.0]),
    "tokens": np.array([4, 1, 6, 3]),
    "bytes": np.array([11, 2, 17, 5]),
    "words": np.array([2, 1, 3, 2]),
    "correct": np.array([True, False, True, True]),
    "targets": np.array([1, 1, 1, 1]),
    "edit_similarity": np.array([1.0, 0.5, 0.25, 0.0]),
    "examples": np.array([1, 1, 1, 1]),
    "parses": np.array([1, 1, 0, 1]),
    "line_count_valid": np.array([1, 0, 0, 1]),
    "line_length_valid": np.array([0, 0, 0, 1]),
    "known": np.array([1, 0, 2, 1]),
    "asked": np.array([1, 1, 3, 1]),
    "gold": np.array([1.0, 2.0, 3.0, 4.0]),
    "predicted": np.array([0.2, 0.1, 0.9, 0.4]),
    "entities_right": np.array([1, 0, 2, 1]),
    "entities_predicted": np.array([2, 1, 2, 1]),
    "entities_gold": np.array([1, 0, 3, 2]),
    "gold_labels": np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, 1]]),
    "predicted_labels": np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1]]),
    "ranks": np.array([[1.0, 2.0], [2.0, np.nan], [1.0, 4.0], [np.inf, np.nan]]),
    "words_right": np.array([1, 0, 3, 2]),
    "tags_right": np.array([[1, 0], [0, 0], [2, 1], [0, 1]]),
    "tags_predicted": np.array([[2, 0], [0, 1], [2, 1], [1, 1]]),
    "tags_gold": np.array([[1, 1], [1, 0], [2, 1], [0, 2]]),
    "margins": np.array([1.0, -0.5, 2.0, 0.5]),
    "gains": np.array([[1.0, 1.0], [1.0, 0.0], [2.0, 1.0], [1.0, 0.0]]),
}
CLASSES = {
    **COLUMNS,
    "gold": np.array([0, 1, 1, 1]),
    "predicted": np.array([0, 1, 1, 0]),
    "probabilities": np.array([[0.5, 0.5], [0.25, 0.75], [0.5, 0.5], [0.75, 0.25]]),
}
"""Class 0: 1 right of 2 predicted and 1 gold; class 1: 2 of 2 and 3."""
GRADES = {**COLUMNS, "predicted": np.array([1.4, 2.6, 3.0, 2.0]), "group": np.array(["a", "b", "b", "a"])}
"""Rounded, the grades are 1, 3, 3 and 2: of variance 11/16, where gold has 20/16, and with covariance 6/16."""


@dataclass(frozen=True)
class Expected:
    perfect: float
    worst: float
    answer: float
    """The value on the columns, worked out by hand."""
    columns: Columns = field(default_factory=lambda: COLUMNS)


EXPECTED = {
    "accuracy": Expected(perfect=1.0, worst=0.0, answer=3 / 4),
    "auprc": Expected(perfect=1.0, worst=3 / 4, answer=1 / 3 * 1 + 1 / 3 * 2 / 3 + 1 / 3 * 3 / 4, columns=CLASSES),
    "auroc": Expected(perfect=1.0, worst=0.0, answer=(1 + 1 / 2 + 0) / 3, columns=CLASSES),
    "balanced_accuracy": Expected(perfect=1.0, worst=0.0, answer=(1 + 2 / 3) / 2, columns=CLASSES),
    "bits_per_byte": Expected(perfect=0.0, worst=np.inf, answer=12.75 / (35 * 0.6931471805599453)),
    "brier": Expected(perfect=0.0, worst=2.0, answer=(0.5 + 0.125 + 0.5 + 1.125) / 4, columns=CLASSES),
    "byte_perplexity": Expected(perfect=1.0, worst=np.inf, answer=2.718281828459045 ** (12.75 / 35)),
    "continuous_kappa": Expected(perfect=1.0, worst=-1.0, answer=2 * 0.275 / (1.25 + 0.3675 + 0.0625), columns=GRADES),
    "coverage": Expected(perfect=1.0, worst=0.0, answer=4 / 6),
    "edit_similarity": Expected(perfect=1.0, worst=0.0, answer=1.75 / 4),
    "entity_f1": Expected(perfect=1.0, worst=0.0, answer=2 * 4 / (6 + 6)),
    "entity_precision": Expected(perfect=1.0, worst=0.0, answer=4 / 6),
    "entity_recall": Expected(perfect=1.0, worst=0.0, answer=4 / 6),
    "expected_calibration_error": Expected(
        perfect=0.0, worst=1.0, answer=(abs(0.5 - 1 + 0.5 - 0) + abs(0.75 - 1 + 0.75 - 0)) / 4, columns=CLASSES
    ),
    "line_count_validity": Expected(perfect=1.0, worst=0.0, answer=2 / 4),
    "line_length_validity": Expected(perfect=1.0, worst=0.0, answer=1 / 4),
    "macro_auprc": Expected(
        perfect=1.0, worst=(1 / 4 + 3 / 4) / 2, answer=((1 / 3 + 2 / 9 + 1 / 4) + 1 / 3) / 2, columns=CLASSES
    ),
    "macro_auroc": Expected(perfect=1.0, worst=0.0, answer=(1 / 2 + 1 / 2) / 2, columns=CLASSES),
    "macro_f1": Expected(perfect=1.0, worst=0.0, answer=(2 / 3 + 4 / 5) / 2, columns=CLASSES),
    "macro_precision": Expected(perfect=1.0, worst=0.0, answer=(1 / 2 + 1) / 2, columns=CLASSES),
    "macro_recall": Expected(perfect=1.0, worst=0.0, answer=(1 + 2 / 3) / 2, columns=CLASSES),
    "mae": Expected(perfect=0.0, worst=2.0, answer=(0.4 + 0.6 + 0 + 2) / 4, columns=GRADES),
    "mcc": Expected(perfect=1.0, worst=-1.0, answer=(2 * 1 - 1 * 0) / math.sqrt(2 * 3 * 1 * 2), columns=CLASSES),
    "mean_quadratic_kappa": Expected(
        perfect=0.999, worst=-0.999, answer=math.tanh((math.atanh(3 / 7) + 0) / 2), columns=GRADES
    ),
    "micro_f1": Expected(perfect=1.0, worst=0.0, answer=3 / 4, columns=CLASSES),
    "micro_precision": Expected(perfect=1.0, worst=0.0, answer=3 / 4, columns=CLASSES),
    "micro_recall": Expected(perfect=1.0, worst=0.0, answer=3 / 4, columns=CLASSES),
    "mrr": Expected(perfect=1.0, worst=0.0, answer=(1 + 1 / 2 + 1 + 0) / 4),
    "mse": Expected(perfect=0.0, worst=5.0, answer=(0.16 + 0.36 + 0 + 4) / 4, columns=GRADES),
    "multilabel_macro_f1": Expected(perfect=1.0, worst=0.0, answer=(4 / 6 + 2 / 3 + 1) / 3),
    "multilabel_micro_f1": Expected(perfect=1.0, worst=0.0, answer=2 * 4 / (5 + 6)),
    "multilabel_samples_f1": Expected(perfect=1.0, worst=0.0, answer=(1 + 2 / 3 + 2 / 3 + 2 / 3) / 4),
    "ndcg_at_2": Expected(perfect=1.0, worst=0.0, answer=(1 + 1 / math.log2(3) + 2 / (2 + 1 / math.log2(3)) + 0) / 4),
    "negative_log_likelihood": Expected(
        perfect=0.0, worst=np.inf, answer=-math.log(0.5 * 0.75 * 0.5 * 0.25) / 4, columns=CLASSES
    ),
    "parses": Expected(perfect=1.0, worst=0.0, answer=3 / 4),
    "pearson": Expected(perfect=1.0, worst=-1.0, answer=0.275 / math.sqrt(1.25 * 0.3675), columns=GRADES),
    "perplexity": Expected(perfect=1.0, worst=np.inf, answer=2.718281828459045 ** (12.75 / 14)),
    "quadratic_kappa": Expected(perfect=1.0, worst=-1.0, answer=2 * 6 / (20 + 11 + 1), columns=GRADES),
    "recall_at_1": Expected(perfect=1.0, worst=0.0, answer=(1 / 2 + 0 + 1 / 2 + 0) / 4),
    "reward_margin": Expected(perfect=np.inf, worst=-np.inf, answer=3.0 / 4),
    "rmse": Expected(perfect=0.0, worst=math.sqrt(5), answer=math.sqrt(1.13), columns=GRADES),
    "spearman": Expected(perfect=1.0, worst=-1.0, answer=1 - 6 * 4 / (4 * 15)),
    "subset_accuracy": Expected(perfect=1.0, worst=0.0, answer=1 / 4),
    "tag_macro_f1": Expected(perfect=1.0, worst=0.0, answer=(2 * 3 / (5 + 4) + 2 * 2 / (3 + 4)) / 2),
    "target_accuracy": Expected(perfect=1.0, worst=0.0, answer=3 / 4),
    "target_perplexity": Expected(perfect=1.0, worst=np.inf, answer=2.718281828459045 ** (12.75 / 4)),
    "weighted_f1": Expected(perfect=1.0, worst=0.0, answer=(1 * 2 / 3 + 3 * 4 / 5) / 4, columns=CLASSES),
    "weighted_precision": Expected(perfect=1.0, worst=0.0, answer=(1 * 1 / 2 + 3 * 1) / 4, columns=CLASSES),
    "weighted_recall": Expected(perfect=1.0, worst=0.0, answer=3 / 4, columns=CLASSES),
    "word_accuracy": Expected(perfect=1.0, worst=0.0, answer=6 / 8),
    "word_perplexity": Expected(perfect=1.0, worst=np.inf, answer=2.718281828459045 ** (12.75 / 8)),
}

each_metric = pytest.mark.parametrize("metric", [*METRICS, *MADE], ids=attrgetter("name"))


def changed(columns: Columns, nll: float, correct: bool) -> Columns:
    """All answers right, or as wrong as can be."""
    names = ("correct", "edit_similarity", "line_count_valid", "line_length_valid", "parses")
    shares = dict.fromkeys(names, np.full(4, correct))
    known = columns["asked"] if correct else np.zeros(4)
    gold = columns["gold"]
    predicted = gold if correct else gold.min() + gold.max() - gold
    probabilities = (np.array([[0], [1], [1], [1]]) == [0, 1]) == correct
    entities = {"entities_right": columns["entities_gold"] * correct, "entities_predicted": columns["entities_gold"]}
    tags = {"tags_right": columns["tags_gold"] * correct, "tags_predicted": columns["tags_gold"]}
    words = {"words_right": columns["words"] * correct}
    labels = columns["gold_labels"] if correct else 1 - columns["gold_labels"]
    ranks = {"ranks": np.full(4, 1.0 if correct else np.inf), "gains": np.ones(4)}
    answers = {"predicted": predicted, "predicted_labels": labels, "probabilities": probabilities.astype(float)}
    margins = {"margins": np.full(4, np.inf if correct else -np.inf)}
    own = {**shares, **answers, **entities, **tags, **words, **ranks, **margins}
    return {**columns, **own, "known": known, "nll_nats": np.full(4, nll)}


def test_every_metric_of_the_folder_has_a_row() -> None:
    folder = wenlu.metrics.__path__
    modules = [importlib.import_module(f"wenlu.metrics.{found.name}") for found in pkgutil.iter_modules(folder)]
    constants = {value.name for module in modules for value in vars(module).values() if isinstance(value, Metric)}
    assert [metric.name for metric in METRICS] == sorted(constants)


def test_every_file_that_makes_metrics_of_text_is_listed() -> None:
    folder = Path(wenlu.metrics.__file__).parent
    makers = {make.__module__.rpartition(".")[2] for make in TEXT_METRICS}
    assert all((folder / f"{name}.py").is_file() for name in makers)
    assert len(makers) == len({make.__name__ for make in TEXT_METRICS} - {"chrf_plus_plus"})


@each_metric
def test_signature_starts_with_the_name_and_ends_in_a_version(metric: Metric) -> None:
    parts = metric.signature.split("|")
    assert parts[0] == metric.name
    assert parts[-1] == "v1"
    assert metric.unit
    assert metric.source


@each_metric
def test_perfect_and_worst_answers_reach_the_bounds(metric: Metric) -> None:
    expected = EXPECTED[metric.name]
    perfect = metric.compute(changed(expected.columns, nll=0.0, correct=True))
    worst = metric.compute(changed(expected.columns, nll=np.inf, correct=False))
    assert perfect == pytest.approx(expected.perfect, rel=1e-12)
    assert worst == pytest.approx(expected.worst, rel=1e-12)
    assert (perfect > worst) == (metric.better == "higher")


@each_metric
def test_value_is_the_one_worked_out_by_hand(metric: Metric) -> None:
    expected = EXPECTED[metric.name]
    assert metric.compute(expected.columns) == pytest.approx(expected.answer, rel=1e-12)


@each_metric
def test_only_the_needed_columns_are_read(metric: Metric) -> None:
    columns = EXPECTED[metric.name].columns
    needed = {name: columns[name] for name in metric.needs}
    assert metric.compute(needed) == metric.compute(columns)


@each_metric
def test_order_of_the_examples_does_not_matter(metric: Metric) -> None:
    order = np.array([2, 0, 3, 1])
    columns = EXPECTED[metric.name].columns
    shuffled = {name: column[order] for name, column in columns.items()}
    assert metric.compute(shuffled) == pytest.approx(metric.compute(columns), rel=1e-12)


@each_metric
def test_no_examples_is_an_error_that_says_so(metric: Metric) -> None:
    empty = {name: column[:0] for name, column in EXPECTED[metric.name].columns.items()}
    with pytest.raises(DataError, match="empty"):
        metric.compute(empty)


@each_metric
def test_a_metric_of_sums_resamples_by_sums(metric: Metric) -> None:
    columns = EXPECTED[metric.name].columns
    match metric.compute:
        case Ratio() as ratio:
            sums = {name: columns[name].sum(keepdims=True) for name in metric.needs}
            assert ratio(sums) == pytest.approx(ratio(columns), rel=1e-12)
            assert metric.needs == (ratio.numerator, ratio.denominator)
        case OfSums() as of_sums:
            total = of_sums.of_examples(columns).sum(axis=0, dtype=np.float64)
            assert of_sums.finish(np.stack([total, 3 * total])) == pytest.approx([of_sums(columns)] * 2, rel=1e-12)
            assert metric.needs == of_sums.columns
        case RankCorrelation() as correlation:
            assert metric.needs == (correlation.gold, correlation.predicted)
        case Fraction() as fraction:
            assert metric.needs == (fraction.column,)
        case _:
            assert isinstance(metric.compute, OfDraws)
