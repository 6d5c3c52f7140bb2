"""Word error rate: edits of words, per word of the reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wenlu.errors import UsageError
from wenlu.metrics.edit_distance import edit_distance
from wenlu.metrics.language import UNSPACED, code_of
from wenlu.metrics.mean import as_it_is
from wenlu.metrics.metric import Columns, Metric, Ratio


def wer(language: str) -> Metric:
    """Of the whole corpus: 0 is perfect, over 1 is possible. Words are what spaces part; case and signs count.

    Raises UsageError for a language without spaces, where a whole sentence would be one word: 今天天气很好 and
    今天天气不好 would have an error rate of 1. CER is for those.
    """
    _check(language)
    return Metric(
        name="wer",
        unit="fraction",
        better="lower",
        needs=("word_edits", "reference_words"),
        compute=Ratio("word_edits", "reference_words", as_it_is),
        signature="wer|words:spaces|case:mixed|micro|v1",
        source="Levenshtein 1966; jiwer.wer",
    )


def wer_columns(predictions: Sequence[str], references: Sequence[str], language: str) -> Columns:
    """One reference an example."""
    _check(language)
    pairs = [(wanted.split(), found.split()) for found, wanted in zip(predictions, references, strict=True)]
    return {
        "word_edits": np.array([edit_distance(wanted, found) for wanted, found in pairs], np.int64),
        "reference_words": np.array([len(wanted) for wanted, _ in pairs], np.int64),
    }


def _check(language: str) -> None:
    if code_of(language) in UNSPACED:
        raise UsageError(f"WER counts words, and {language!r} puts no space between them; use CER")
