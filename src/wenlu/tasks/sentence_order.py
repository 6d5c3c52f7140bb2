"""Tell whether two texts stand in order, and fill in hidden tokens.

ALBERT: Lan et al. 2020, arXiv:1909.11942, section 3.1.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from wenlu.corpus.packing import Ids
from wenlu.corpus.passages import Passages
from wenlu.tasks.corruption.pairs import Pairs, PairsConfig


class SentenceOrderConfig(PairsConfig):
    """Half of the pairs are swapped."""

    name: Literal["sentence-order"] = "sentence-order"


class SentenceOrder(Pairs):
    """Do two neighbouring texts of a document stand in order (0), or swapped (1)?"""

    name = "sentence-order"
    settings = SentenceOrderConfig
    ability = "tells in which order two texts stand, and fills in [MASK]"
    parts = ("masked-lm", "sentence-order")
    headline = "sentence-order"

    def pair(self, ids: Ids, place: int, source: Passages, rng: np.random.Generator) -> tuple[Ids, Ids, int]:  # noqa: ARG002
        cut = self.cut(ids, rng)
        first, second = ids[:cut], ids[cut:]
        return (first, second, 0) if rng.random() < 0.5 else (second, first, 1)
