"""How much of each held-out split also stands in another split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from wenlu.corpus.script import is_mostly_han
from wenlu.corpus.shingles import U64, ngrams, units

WORDS = 13
"""Length of an n-gram in words, as Brown et al. 2020 (arXiv:2005.14165), appendix C, look for test data."""
CHARACTERS = 50
"""Its length in characters for Chinese, as OpenAI 2023 (arXiv:2303.08774), appendix C."""
_MOST = 2**21
"""N-grams of one split to remember; of a larger one a sample is looked for, chosen by hash."""

Flags = np.ndarray[Any, np.dtype[np.bool_]]


class SharedNgrams:
    """Collects the n-grams of held-out splits, then looks for them in the texts of other splits."""

    def __init__(self) -> None:
        self._known: dict[str, U64] = {}
        self._bounds: dict[str, int] = {}
        self._found: dict[tuple[str, str], Flags] = {}

    def remember(self, split: str, texts: Sequence[str]) -> None:
        """Take in texts of a held-out split."""
        bound = self._bounds.setdefault(split, 2**64 - 1)
        new = np.concatenate([self._known.get(split, np.empty(0, np.uint64)), *_hashes(texts)])
        known = np.unique(new[new <= bound])
        while len(known) > _MOST:
            bound //= 2
            known = known[known <= bound]
        self._known[split], self._bounds[split] = known, bound

    def look(self, other: str, texts: Sequence[str]) -> None:
        """Look for all remembered n-grams of splits but `other` in its texts."""
        hashes = np.concatenate([np.empty(0, np.uint64), *_hashes(texts)])
        for split, known in self._known.items():
            if split == other or not len(known):
                continue
            found = self._found.setdefault((split, other), np.zeros(len(known), bool))
            candidates = hashes[hashes <= self._bounds[split]]
            place = np.minimum(np.searchsorted(known, candidates), len(known) - 1)
            found[place[known[place] == candidates]] = True

    def fraction(self, split: str, other: str) -> float:
        """Part of the different n-grams of `split` that stand in `other` too."""
        found = self._found.get((split, other))
        return float(found.mean()) if found is not None else 0.0

    def sampled(self, split: str) -> float:
        """Which part of the n-grams the fraction is estimated from; 1 unless there are millions."""
        return (self._bounds.get(split, 2**64 - 1) + 1) / 2**64


def _hashes(texts: Sequence[str]) -> Iterator[U64]:
    by_length: Mapping[int, list[str]] = {WORDS: [], CHARACTERS: []}
    for text in texts:
        by_length[CHARACTERS if is_mostly_han(text) else WORDS].append(text)
    for length, group in by_length.items():
        if group:
            yield ngrams(units(group), length).values
