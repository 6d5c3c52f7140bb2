"""Find the word that is to one word as a second is to a third."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wenlu.metrics import ACCURACY, COVERAGE, Columns
from wenlu.models.vectors import Analogy
from wenlu.tasks.task import ScoredTask


class WordAnalogy(ScoredTask):
    """Complete "a is to b as c is to …" by a word, whatever its case; what cannot be answered counts against
    coverage alone."""

    name = "word-analogy"
    example = Analogy
    metrics = (ACCURACY, COVERAGE)

    def columns(self, examples: Sequence[Analogy], answers: Sequence[str | None]) -> Columns:
        pairs = list(zip(examples, answers, strict=True))
        return {
            "correct": np.array([a is not None and a.upper() == e.expected.upper() for e, a in pairs], dtype=np.int64),
            "known": np.array([answer is not None for answer in answers], dtype=np.int64),
            "asked": np.ones(len(examples), dtype=np.int64),
        }
