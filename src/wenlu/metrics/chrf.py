"""chrF and chrF++: how many of the characters and words of a translation, in runs, a reference has too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wenlu.metrics.metric import Columns, Metric
from wenlu.metrics.references import References
from wenlu.metrics.sacrebleu_scores import of_scorer, sacrebleu_metrics, statistics


def chrf() -> Metric:
    """F2 of runs of 1 to 6 characters, without spaces, of the whole corpus, from 0 to 100; for every language."""
    source = "Popović 2015, chrF: character n-gram F-score for automatic MT evaluation; sacrebleu"
    return of_scorer(_scorer(0), "chrf", better="higher", source=source)


def chrf_columns(predictions: Sequence[str], references: References) -> Columns:
    return statistics(_scorer(0), "chrf", predictions, references)


def chrf_plus_plus() -> Metric:
    """chrF with runs of 1 and 2 words, parted by spaces: where a language has none, the "word" is a whole clause."""
    source = "Popović 2017, chrF++: words helping character n-grams; sacrebleu"
    return of_scorer(_scorer(2), "chrf++", better="higher", source=source)


def chrf_plus_plus_columns(predictions: Sequence[str], references: References) -> Columns:
    return statistics(_scorer(2), "chrf++", predictions, references)


def _scorer(word_order: int) -> Any:
    return sacrebleu_metrics().CHRF(char_order=6, word_order=word_order)
