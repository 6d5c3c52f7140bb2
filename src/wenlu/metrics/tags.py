"""Scores of one tag a word: the share of words whose tag is right, and the mean of the F1 of the tags."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wenlu.metrics.class_counts import Averaged, Counts
from wenlu.metrics.class_table import ClassRow, rows
from wenlu.metrics.f1 import f1
from wenlu.metrics.metric import Column, Columns, Metric, OfSums, Ratio

Tags = Sequence[Sequence[str]]
"""One a word of each example."""


def word_columns(gold: Tags, predicted: Tags) -> Columns:
    """The columns of WORD_ACCURACY."""
    pairs = [*zip(gold, predicted, strict=True)]
    right = [sum(x == y for x, y in zip(wanted, found, strict=True)) for wanted, found in pairs]
    return {"words_right": np.array(right, np.int64), "words": np.array([len(wanted) for wanted in gold], np.int64)}


def tag_columns(gold: Tags, predicted: Tags) -> Columns:
    """The columns of TAG_MACRO_F1, (n, L): how often each tag that stands in either is right, predicted and gold."""
    numbers = {tag: number for number, tag in enumerate(_names(gold, predicted))}
    right, found, wanted = (np.zeros((len(gold), len(numbers)), np.int64) for _ in range(3))
    for row, (golds, guesses) in enumerate(zip(gold, predicted, strict=True)):
        for tag, guess in zip(golds, guesses, strict=True):
            wanted[row, numbers[tag]] += 1
            found[row, numbers[guess]] += 1
            right[row, numbers[tag]] += tag == guess
    return {"tags_right": right, "tags_predicted": found, "tags_gold": wanted}


def per_tag(gold: Tags, predicted: Tags) -> list[ClassRow]:
    """A row for each tag that stands in either, by name."""
    return rows(
        _names(gold, predicted), Counts(*(column.sum(axis=0) for column in tag_columns(gold, predicted).values()))
    )


def _names(gold: Tags, predicted: Tags) -> list[str]:
    return sorted({tag for tags in (*gold, *predicted) for tag in tags})


def _share(right_per_word: Column) -> Column:
    return right_per_word


def _beside(right: Column, predicted: Column, gold: Column) -> Column:
    return np.concatenate([right, predicted, gold], axis=1)


WORD_ACCURACY = Metric(
    name="word_accuracy",
    unit="fraction",
    better="higher",
    needs=("words_right", "words"),
    compute=Ratio("words_right", "words", _share),
    signature="word_accuracy|micro|v1",
    source="sklearn.metrics.accuracy_score",
)
TAG_MACRO_F1 = Metric(
    name="tag_macro_f1",
    unit="fraction",
    better="higher",
    needs=("tags_right", "tags_predicted", "tags_gold"),
    compute=OfSums(("tags_right", "tags_predicted", "tags_gold"), Averaged(f1, "macro"), _beside),
    signature="tag_macro_f1|average:macro|classes:gold-or-predicted|zero_division:0|v1",
    source="sklearn.metrics.f1_score",
)
