"""What every metric owes: a row, a signature, bounds, perfect and worst case, and no care for the order of examples."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

import wenlu.metrics
from wenlu.errors import DataError
from wenlu.metrics import METRICS, TEXT_METRICS, Columns, Fraction, Metric, RankCorrelation, Ratio

PARTS_OF_TEXT_METRICS = {
    "answer_words",
    "edit_distance",
    "language",
    "lcs",
    "mean",
    "of_sums",
    "references",
    "sacrebleu_scores",
    "text_units",
}

COLUMNS = {
    "nll_nats": np.array([3.0, 0.5, 7.25, 2.0]),
    "tokens": np.array([4, 1, 6, 3]),
    "bytes": np.array([11, 2, 17, 5]),
    "words": np.array([2, 1, 3, 2]),
    "correct": np.array([True, False, True, True]),
    "targets": np.array([1, 1, 1, 1]),
    "line_count_valid": np.array([1, 0, 0, 1]),
    "line_length_valid": np.array([0, 0, 0, 1]),
    "known": np.array([1, 0, 2, 1]),
    "asked": np.array([1, 1, 3, 1]),
    "gold": np.array([1.0, 2.0, 3.0, 4.0]),
    "predicted": np.array([0.2, 0.1, 0.9, 0.4]),
}


@dataclass(frozen=True)
class Expected:
    perfect: float
    worst: float
    answer: float
    """The value on COLUMNS, worked out by hand."""


EXPECTED = {
    "accuracy": Expected(perfect=1.0, worst=0.0, answer=3 / 4),
    "bits_per_byte": Expected(perfect=0.0, worst=np.inf, answer=12.75 / (35 * 0.6931471805599453)),
    "byte_perplexity": Expected(perfect=1.0, worst=np.inf, answer=2.718281828459045 ** (12.75 / 35)),
    "coverage": Expected(perfect=1.0, worst=0.0, answer=4 / 6),
    "line_count_validity": Expected(perfect=1.0, worst=0.0, answer=2 / 4),
    "line_length_validity": Expected(perfect=1.0, worst=0.0, answer=1 / 4),
    "perplexity": Expected(perfect=1.0, worst=np.inf, answer=2.718281828459045 ** (12.75 / 14)),
    "spearman": Expected(perfect=1.0, worst=-1.0, answer=1 - 6 * 4 / (4 * 15)),
    "target_accuracy": Expected(perfect=1.0, worst=0.0, answer=3 / 4),
    "target_perplexity": Expected(perfect=1.0, worst=np.inf, answer=2.718281828459045 ** (12.75 / 4)),
    "word_perplexity": Expected(perfect=1.0, worst=np.inf, answer=2.718281828459045 ** (12.75 / 8)),
}

each_metric = pytest.mark.parametrize("metric", METRICS, ids=attrgetter("name"))


def changed(nll: float, correct: bool) -> Columns:
    shares = dict.fromkeys(("correct", "line_count_valid", "line_length_valid"), np.full(4, correct))
    known = COLUMNS["asked"] if correct else np.zeros(4)
    predicted = COLUMNS["gold"] if correct else -COLUMNS["gold"]
    return {**COLUMNS, **shares, "known": known, "predicted": predicted, "nll_nats": np.full(4, nll)}


def test_the_tuple_lists_the_folder() -> None:
    folder = Path(wenlu.metrics.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "metric"} - PARTS_OF_TEXT_METRICS
    assert {metric.name for metric in METRICS} | {make.__module__.split(".")[-1] for make in TEXT_METRICS} == files


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
    perfect = metric.compute(changed(nll=0.0, correct=True))
    worst = metric.compute(changed(nll=np.inf, correct=False))
    assert perfect == expected.perfect
    assert worst == expected.worst
    assert (perfect > worst) == (metric.better == "higher")


@each_metric
def test_value_is_the_one_worked_out_by_hand(metric: Metric) -> None:
    assert metric.compute(COLUMNS) == pytest.approx(EXPECTED[metric.name].answer, rel=1e-12)


@each_metric
def test_only_the_needed_columns_are_read(metric: Metric) -> None:
    needed = {name: COLUMNS[name] for name in metric.needs}
    assert metric.compute(needed) == metric.compute(COLUMNS)


@each_metric
def test_order_of_the_examples_does_not_matter(metric: Metric) -> None:
    order = np.array([2, 0, 3, 1])
    shuffled = {name: column[order] for name, column in COLUMNS.items()}
    assert metric.compute(shuffled) == pytest.approx(metric.compute(COLUMNS), rel=1e-12)


@each_metric
def test_no_examples_is_an_error_that_says_so(metric: Metric) -> None:
    empty = {name: column[:0] for name, column in COLUMNS.items()}
    with pytest.raises(DataError, match="empty"):
        metric.compute(empty)


@each_metric
def test_a_ratio_resamples_by_sums(metric: Metric) -> None:
    compute: Callable[[Columns], float] = metric.compute
    if isinstance(compute, Ratio):
        sums = {name: column.sum(keepdims=True) for name, column in COLUMNS.items()}
        assert compute(sums) == pytest.approx(compute(COLUMNS), rel=1e-12)
        assert metric.needs == (compute.numerator, compute.denominator)
    elif isinstance(compute, RankCorrelation):
        assert metric.needs == (compute.gold, compute.predicted)
    else:
        assert isinstance(compute, Fraction)
        assert metric.needs == (compute.column,)
