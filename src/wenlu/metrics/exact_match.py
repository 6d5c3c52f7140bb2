"""Exact match: the share of questions whose answer is one of the gold answers, word for word."""

from __future__ import annotations

from collections.abc import Sequence

from wenlu.metrics.answer_words import answer_convention, answer_words, gold_answers
from wenlu.metrics.mean import columns_for_means, mean_of
from wenlu.metrics.metric import Columns, Metric
from wenlu.metrics.references import References, check_paired


def exact_match(language: str) -> Metric:
    return Metric(
        name="exact_match",
        unit="fraction",
        better="higher",
        needs=("exact_match", "examples"),
        compute=mean_of("exact_match"),
        signature=f"exact_match|{answer_convention(language)}|refs:best|null:empty|v1",
        source="Rajpurkar, Jia & Liang 2018, Know what you don't know, arXiv:1806.03822; evaluate-v2.0.py of SQuAD",
    )


def exact_match_columns(predictions: Sequence[str], references: References, language: str) -> Columns:
    """`exact_match`, 0 or 1 each, and `examples`; a question without gold answers wants the empty text."""
    check_paired(predictions, references, least=0)
    pairs = zip(predictions, references, strict=True)
    found = [float(answer_words(text, language) in gold_answers(golds, language)) for text, golds in pairs]
    return columns_for_means({"exact_match": found})
