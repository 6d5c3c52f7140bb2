"""What every metric of generated text owes, in English and Chinese: the contract of metrics, from texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

import numpy as np
import pytest

from wenlu.errors import DataError
from wenlu.evaluation import interval
from wenlu.metrics import (
    TEXT_METRICS,
    Columns,
    Metric,
    answer_f1,
    answer_f1_columns,
    bleu,
    bleu_columns,
    cer,
    cer_columns,
    chrf,
    chrf_columns,
    chrf_plus_plus,
    chrf_plus_plus_columns,
    distinct,
    distinct_columns,
    error_rate,
    error_rate_columns,
    exact_match,
    exact_match_columns,
    mean_length,
    mean_length_columns,
    pass_at_k,
    pass_at_k_columns,
    rouge,
    rouge_columns,
    ter,
    ter_columns,
    wer,
    wer_columns,
)

TEXTS = {
    "en": ["the quick brown fox jumps", "it rains in the big city", "we go home by slow train"],
    "zh": ["今天天气很好。", "北京大学在中国", "我们坐火车回家"],
}
STRANGERS = {"en": ["zzz", "zzz", "zzz"], "zh": ["丙", "丙", "丙"]}

ColumnsOf = Callable[[Sequence[str], Sequence[str]], Columns]


@dataclass(frozen=True)
class Case:
    make: Callable[..., Metric]
    metric: Metric
    columns: ColumnsOf
    language: str
    worst: float = 0.0


def _several(columns: Callable[..., Columns], *conventions: str) -> ColumnsOf:
    return lambda predictions, references: columns(predictions, [[text] for text in references], *conventions)


def _one(columns: Callable[..., Columns], language: str) -> ColumnsOf:
    return lambda predictions, references: columns(predictions, references, language)


def _distinct(language: str) -> ColumnsOf:
    return lambda predictions, _: distinct_columns(predictions, language)


def _length(language: str) -> ColumnsOf:
    return lambda predictions, _: mean_length_columns(predictions, language)


def _passes(predictions: Sequence[str], references: Sequence[str]) -> Columns:
    right = [int(text == wanted) for text, wanted in zip(predictions, references, strict=True)]
    return pass_at_k_columns([1] * len(right), right, 1)


def _cases(language: str) -> list[Case]:
    found = [
        Case(answer_f1, answer_f1(language), _several(answer_f1_columns, language), language),
        Case(bleu, bleu(language), _several(bleu_columns, language), language),
        Case(cer, cer(language), _one(cer_columns, language), language, worst=1.0),
        Case(chrf, chrf(), _several(chrf_columns), language),
        Case(chrf_plus_plus, chrf_plus_plus(), _several(chrf_plus_plus_columns), language),
        Case(distinct, distinct(1, language), _distinct(language), language),
        Case(error_rate, error_rate(language), _one(error_rate_columns, language), language, worst=1.0),
        Case(exact_match, exact_match(language), _several(exact_match_columns, language), language),
        Case(mean_length, mean_length(language), _length(language), language),
        Case(pass_at_k, pass_at_k(1), _passes, language),
        *(
            Case(partial(rouge, variant), rouge(variant, language), _several(rouge_columns, language), language)
            for variant in ("1", "2", "L", "Lsum")
        ),
        Case(ter, ter(language), _several(ter_columns, language), language, worst=100.0),
    ]
    return found + ([Case(wer, wer("en"), _one(wer_columns, "en"), "en", worst=1.0)] if language == "en" else [])


CASES = [*_cases("en"), *_cases("zh")]
each_case = pytest.mark.parametrize("case", CASES, ids=[f"{case.metric.name}-{case.language}" for case in CASES])


def test_every_row_of_the_tuple_has_a_case() -> None:
    assert {case.make.func if isinstance(case.make, partial) else case.make for case in CASES} == set(TEXT_METRICS)


@each_case
def test_signature_starts_with_the_name_and_ends_in_a_version(case: Case) -> None:
    parts = case.metric.signature.split("|")
    assert parts[0] == case.metric.name
    assert parts[-1] == "v1"
    assert case.metric.unit
    assert case.metric.source


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.make not in (distinct, mean_length)], ids=attrgetter("metric.name")
)
def test_equal_texts_are_perfect_and_strangers_the_worst(case: Case) -> None:
    texts = TEXTS[case.language]
    perfect = case.metric.compute(case.columns(texts, texts))
    worst = case.metric.compute(case.columns(STRANGERS[case.language], texts))
    bound = 100.0 if case.metric.unit == "points" else 1.0
    assert perfect == pytest.approx(bound if case.metric.better == "higher" else 0.0)
    assert (perfect > worst) == (case.metric.better == "higher")
    assert worst == pytest.approx(case.worst)


@each_case
def test_columns_have_one_entry_an_example_and_only_the_needed_ones_are_read(case: Case) -> None:
    texts = TEXTS[case.language]
    columns = case.columns([texts[0], texts[0], ""], texts)
    assert {len(column) for column in columns.values()} == {3}
    needed = {name: columns[name] for name in case.metric.needs}
    assert case.metric.compute(needed) == case.metric.compute(columns)


@each_case
def test_a_resample_by_index_is_the_metric_of_those_examples(case: Case) -> None:
    texts = TEXTS[case.language]
    predictions = [texts[0], texts[0] + texts[1], ""]
    columns = case.columns(predictions, texts)
    for drawn in ([2, 0, 1], [0, 0, 1], [1]):
        resampled = case.metric.compute({name: column[np.array(drawn)] for name, column in columns.items()})
        direct = case.metric.compute(case.columns([predictions[i] for i in drawn], [texts[i] for i in drawn]))
        assert resampled == pytest.approx(direct, rel=1e-12)


@each_case
def test_no_examples_is_an_error_that_says_so(case: Case) -> None:
    texts = TEXTS[case.language]
    empty = {name: column[:0] for name, column in case.columns(texts, texts).items()}
    with pytest.raises(DataError, match="empty"):
        case.metric.compute(empty)


@pytest.mark.parametrize("case", [case for case in CASES if case.metric.is_resampled], ids=attrgetter("metric.name"))
def test_the_bootstrap_takes_it(case: Case) -> None:
    texts = TEXTS[case.language]
    found = interval(case.metric, case.columns([texts[0], *texts[:2]], texts), resamples=40)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.high


def test_only_distinct_n_has_no_interval() -> None:
    assert {case.make for case in CASES if not case.metric.is_resampled} == {distinct}
