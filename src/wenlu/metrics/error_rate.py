"""The error rate that suits a language: of characters where no spaces part the words, else of words."""

from __future__ import annotations

from collections.abc import Sequence

from wenlu.metrics.cer import cer, cer_columns
from wenlu.metrics.language import UNSPACED, code_of
from wenlu.metrics.metric import Columns, Metric
from wenlu.metrics.wer import wer, wer_columns


def error_rate(language: str) -> Metric:
    """CER for Chinese, Japanese and others without spaces, else WER."""
    return cer(language) if code_of(language) in UNSPACED else wer(language)


def error_rate_columns(predictions: Sequence[str], references: Sequence[str], language: str) -> Columns:
    columns = cer_columns if code_of(language) in UNSPACED else wer_columns
    return columns(predictions, references, language)
