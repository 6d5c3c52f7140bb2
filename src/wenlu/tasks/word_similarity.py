"""Say how alike two words are, as people do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wenlu.metrics import COVERAGE, SPEARMAN, Columns
from wenlu.models.vectors import WordPair
from wenlu.tasks.task import ScoredTask


class WordSimilarity(ScoredTask):
    """Give pairs of words numbers that rank as people's do; what cannot be answered counts against coverage alone."""

    name = "word-similarity"
    example = WordPair
    metrics = (SPEARMAN, COVERAGE)

    def columns(self, examples: Sequence[WordPair], answers: Sequence[float | None]) -> Columns:
        """`predicted` is nan where there is no answer, and `known` then 0."""
        return {
            "gold": np.array([example.gold for example in examples], dtype=np.float64),
            "predicted": np.array([np.nan if answer is None else answer for answer in answers], dtype=np.float64),
            "known": np.array([answer is not None for answer in answers], dtype=np.int64),
            "asked": np.ones(len(examples), dtype=np.int64),
        }
