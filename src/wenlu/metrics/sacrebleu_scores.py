"""Scores of sacrebleu as sums of statistics: its own extraction for each example, its own formula for the sums.

sacrebleu adds up statistics in the same way, but offers that only to its own significance tests, behind names with an
underscore; this file alone calls them, and the tests hold its scores to `corpus_score`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

import numpy as np

from wenlu.errors import MissingExtra
from wenlu.metrics.metric import Column, Metric, OfSums
from wenlu.metrics.references import References, check_paired


def sacrebleu_metrics() -> Any:
    """The module with the classes BLEU, CHRF and TER; raises MissingExtra without it."""
    try:
        import sacrebleu.metrics
    except ModuleNotFoundError as error:
        raise MissingExtra("sacrebleu", extra="tasks", purpose="score translations") from error
    return sacrebleu.metrics


@dataclass(frozen=True)
class _Score:
    """From 0 to 100 (TER: and beyond), (...) of summed statistics (..., K)."""

    scorer: Any

    def __call__(self, sums: Column) -> Column:
        rows = sums.reshape(-1, sums.shape[-1])
        found = [float(self.scorer._compute_score_from_stats(row.tolist()).score) for row in rows]
        return np.array(found).reshape(sums.shape[:-1])


def _as_they_are(statistics: Column) -> Column:
    return statistics


def of_scorer(scorer: Any, name: str, *, better: Literal["higher", "lower"], source: str) -> Metric:
    """A metric of the column `NAME_statistics`; its signature holds all of sacrebleu's but the number of references."""
    return Metric(
        name=name,
        unit="points",
        better=better,
        needs=(_column(name),),
        compute=OfSums((_column(name),), _Score(scorer), _as_they_are),
        signature=f"{name}|{_signature(scorer)}|v1",
        source=source,
    )


def statistics(scorer: Any, name: str, predictions: Sequence[str], references: References) -> dict[str, Column]:
    """The column `NAME_statistics`, (n, k)."""
    check_paired(predictions, references)
    streams = list(zip_longest(*references))  # sacrebleu wants the first references of all, the second of all, …
    return {_column(name): np.array(scorer._extract_corpus_statistics(list(predictions), streams))}


def _signature(scorer: Any) -> str:
    scorer.num_refs = 1  # it refuses to sign before it has seen references
    _, *conventions = str(scorer.get_signature()).split("|")
    return "|".join(conventions)


def _column(name: str) -> str:
    return f"{name}_statistics"
