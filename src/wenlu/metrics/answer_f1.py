"""F1 of answers: what the words of an answer share with those of the closest gold answer, order apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from wenlu.metrics.answer_words import answer_convention, answer_words, gold_answers
from wenlu.metrics.mean import columns_for_means, mean_of
from wenlu.metrics.metric import Columns, Metric
from wenlu.metrics.references import References, check_paired


def answer_f1(language: str) -> Metric:
    """Never below exact match on the same answers."""
    return Metric(
        name="answer_f1",
        unit="fraction",
        better="higher",
        needs=("answer_f1", "examples"),
        compute=mean_of("answer_f1"),
        signature=f"answer_f1|bag|{answer_convention(language)}|refs:best|null:empty|mean:examples|v1",
        source="Rajpurkar, Jia & Liang 2018, Know what you don't know, arXiv:1806.03822; evaluate-v2.0.py of SQuAD",
    )


def answer_f1_columns(predictions: Sequence[str], references: References, language: str) -> Columns:
    """`answer_f1`, from 0 to 1 each, and `examples`; a question without gold answers wants the empty text."""
    check_paired(predictions, references, least=0)
    found = []
    for text, golds in zip(predictions, references, strict=True):
        words = answer_words(text, language)
        found.append(max(_f1(words, gold) for gold in gold_answers(golds, language)))
    return columns_for_means({"answer_f1": found})


def _f1(found: list[str], gold: list[str]) -> float:
    if not found or not gold:
        return float(found == gold)
    shared = (Counter(found) & Counter(gold)).total()
    precision, recall = shared / len(found), shared / len(gold)
    return 2 * precision * recall / (precision + recall) if shared else 0.0
