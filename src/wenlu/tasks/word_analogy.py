"""Find the word that is to one word as a second is to a third."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wenlu.errors import UsageError
from wenlu.metrics import ACCURACY, COVERAGE, Columns
from wenlu.models import LanguageModel
from wenlu.models.vectors import Analogy
from wenlu.tasks.task import Batch, Loss, Task


class WordAnalogy(Task):
    """Complete "a is to b as c is to …" by a word, whatever its case; what cannot be answered counts against
    coverage alone."""

    name = "word-analogy"
    example = Analogy
    metrics = (ACCURACY, COVERAGE)

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:  # noqa: ARG002 (there is none)
        raise UsageError(f"{self.name} is measured, not trained for; train word vectors on text, section [vectors]")

    def columns(self, examples: Sequence[Analogy], answers: Sequence[str | None]) -> Columns:
        pairs = list(zip(examples, answers, strict=True))
        return {
            "correct": np.array([a is not None and a.upper() == e.expected.upper() for e, a in pairs], dtype=np.int64),
            "known": np.array([answer is not None for answer in answers], dtype=np.int64),
            "asked": np.ones(len(examples), dtype=np.int64),
        }
