"""Translation edit rate: insertions, deletions, substitutions and shifts, per word of the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wenlu.errors import UsageError
from wenlu.metrics.language import CHINESE, UNSPACED, code_of
from wenlu.metrics.metric import Columns, Metric
from wenlu.metrics.references import References
from wenlu.metrics.sacrebleu_scores import of_scorer, sacrebleu_metrics, statistics

_SOURCE = "Snover, Dorr, Schwartz, Micciulla & Makhoul 2006, A study of translation edit rate; sacrebleu"


def ter(language: str) -> Metric:
    """Of the whole corpus, in edits per 100 words: 0 is perfect, over 100 is possible; case is ignored.

    Words are parted by spaces. Of Chinese each character is a word, of Japanese each kanji and each run of kana between
    them; that takes both switches of sacrebleu, `norm` and `asian`: the second alone changes nothing.
    """
    return of_scorer(_scorer(language), "ter", better="lower", source=_SOURCE)


def ter_columns(predictions: Sequence[str], references: References, language: str) -> Columns:
    return statistics(_scorer(language), "ter", predictions, references)


def _scorer(language: str) -> Any:
    code = code_of(language)
    asian = code == "ja" or code in CHINESE
    if code in UNSPACED and not asian:
        raise UsageError(f"TER counts words, and {language!r} puts no space between them; use chrF or CER")
    return sacrebleu_metrics().TER(normalized=asian, asian_support=asian)
