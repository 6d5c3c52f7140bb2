"""Tell whether a text follows another, and fill in hidden tokens.

Devlin et al. 2019, arXiv:1810.04805, section 3.1.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from wenlu.corpus.packing import PADDING, Ids
from wenlu.corpus.passages import Passages
from wenlu.errors import DataError
from wenlu.tasks.corruption.pairs import Pairs, PairsConfig

TRIES = 16
"""Passages to draw until one is long enough."""


class NextSentenceConfig(PairsConfig):
    """Half of the second texts are from another document."""

    name: Literal["next-sentence"] = "next-sentence"


class NextSentence(Pairs):
    """Is the second text the one that follows (0), or one from another document (1)?"""

    name = "next-sentence"
    settings = NextSentenceConfig
    ability = "tells whether one text follows another, and fills in [MASK]"
    parts = ("masked-lm", "next-sentence")
    headline = "next-sentence"

    def pair(self, ids: Ids, place: int, source: Passages, rng: np.random.Generator) -> tuple[Ids, Ids, int]:
        cut = self.cut(ids, rng)
        if rng.random() < 0.5:
            return ids[:cut], ids[cut:], 0
        return ids[:cut], self._elsewhere(place, len(ids) - cut, source, rng), 1

    def _elsewhere(self, place: int, length: int, source: Passages, rng: np.random.Generator) -> Ids:
        """`length` tokens of another document from the start of a sentence on, or fewer where it has no more.

        Were they mostly fewer, the length would give the answer away: so the longest of some passages is taken.
        """
        own = np.searchsorted(source.documents, source.documents[place] + np.arange(2))  # its rows stand together
        others = len(source) - int(own[1] - own[0])
        if not others:
            raise DataError(
                f"{source.data.folder}: holds one document only, and next-sentence needs texts of others; give more, "
                'or use task.name="sentence-order"'
            )
        best = np.empty(0, np.int64)
        for other in rng.integers(others, size=TRIES):
            row = source.rows(np.array([other if other < own[0] else other + own[1] - own[0]]))
            ids = row.ids[row.segments != PADDING]
            starts = np.flatnonzero(self.vocabulary.ends_sentence[ids]) + 1
            starts = np.concatenate([[0], starts[starts + length <= len(ids)]])
            found = ids[int(rng.choice(starts)) :][:length]
            if len(found) > len(best):
                best = found
            if len(best) == length:
                break
        return best
