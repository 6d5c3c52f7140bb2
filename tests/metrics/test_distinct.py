"""Distinct-n counts different n-grams of the whole corpus."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from tests.metrics.texts import CASES, draw

from wenlu.errors import DataError
from wenlu.evaluation import interval, paired_difference
from wenlu.evaluation.bootstrap import Interval
from wenlu.metrics import distinct, distinct_columns, mean_length, mean_length_columns
from wenlu.metrics.text_units import units_of


def test_worked_out_by_hand() -> None:
    columns = distinct_columns(["I do not know", "I do", "I"], "en")
    assert distinct(1, "en").compute(columns) == 4 / 7
    assert distinct(2, "en").compute(columns) == 3 / 7  # i do, do not, not know
    assert distinct(2, "en", per="ngrams").compute(columns) == 3 / 4


def test_chinese_is_counted_by_character_or_by_word_and_signed_so() -> None:
    pytest.importorskip("rjieba")
    text = "今天天气好"
    assert distinct(1, "zh").compute(distinct_columns([text], "zh")) == 4 / 5
    by_word = distinct(1, "zh", segmentation="rjieba")
    assert by_word.compute(distinct_columns([text], "zh", segmentation="rjieba")) == 1
    assert "|units:characters|" in distinct(1, "zh").signature
    assert "|units:rjieba-" in by_word.signature
    assert distinct(1, "zh").signature != distinct(1, "zh", per="ngrams").signature


@pytest.mark.parametrize("language", ["en", "zh"])
def test_sets_of_all_ngrams_say_the_same(language: str) -> None:
    for seed in range(CASES):
        rng = random.Random(seed)
        texts = [draw(rng, language == "zh") for _ in range(rng.randint(1, 5))]
        cut = [units_of(text, language) for text in texts]
        tokens = sum(map(len, cut))
        if not tokens:
            continue
        columns = distinct_columns(texts, language)
        bigrams = {pair for units in cut for pair in pairwise(units)}
        assert distinct(1, language).compute(columns) == len(set().union(*cut)) / tokens
        assert distinct(2, language).compute(columns) == len(bigrams) / tokens


def test_a_resample_is_the_metric_of_the_texts_it_drew_and_lies_lower() -> None:
    rng = random.Random(0)
    texts = [draw(rng, chinese=False) for _ in range(40)]
    columns, metric = distinct_columns(texts, "en"), distinct(2, "en")
    values = []
    for seed in range(50):
        drawn = np.random.default_rng(seed).integers(40, size=40)
        values.append(metric.compute({name: column[drawn] for name, column in columns.items()}))
        assert values[-1] == metric.compute(distinct_columns([texts[i] for i in drawn], "en"))
    assert np.mean(values) < metric.compute(columns)


def test_the_mean_length_counts_the_same_words() -> None:
    columns = mean_length_columns(["I do not know", "I do", "!"], "en")
    assert mean_length("en").compute(columns) == pytest.approx(6 / 3)
    assert mean_length("zh").compute(mean_length_columns(["今天天气好"], "zh")) == 5


def test_no_interval_is_told_where_resamples_say_nothing_of_the_value() -> None:
    columns = distinct_columns(["one two", "three four", "five six"], "en")
    assert interval(distinct(1, "en"), columns, resamples=100) == Interval(1.0, None, None)
    difference = paired_difference(distinct(1, "en"), columns, columns, resamples=100)
    assert (difference.low, difference.high, difference.verdict) == (None, None, "undecided")


def test_a_resample_of_empty_texts_alone_is_left_out_of_the_interval() -> None:
    metric = replace(distinct(1, "en"), is_resampled=True)
    found = interval(metric, distinct_columns(["yes", "", ""], "en"), resamples=100)
    assert (found.value, found.high) == (1.0, 1.0)


def test_texts_without_words_are_an_error() -> None:
    for texts in ([], ["", "!?"]):
        with pytest.raises(DataError, match="no words to count different ones of: the texts are empty"):
            distinct(1, "en").compute(distinct_columns(texts, "en"))
