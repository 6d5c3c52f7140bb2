"""Whose turn it is at each step of training, where several sets of examples share it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wenlu.corpus.packing import Ids
from wenlu.corpus.ragged import Values

BLOCK = 1024
"""Turns that are drawn together."""


def chances(sizes: Sequence[int], temperature: float, most: int | None = None) -> Values:
    """p_i ∝ min(n_i, most)^(1/T): in proportion at T = 1, the more alike the larger T (Raffel et al. 2020, 3.5.2)."""
    assert min(sizes) > 0, f"sizes {list(sizes)}"
    capped = np.minimum(sizes, np.inf if most is None else most)
    weights = np.exp(np.log(capped / capped.max()) / temperature)
    shares: Values = weights / weights.sum()
    return shares


class Turns:
    """Independent draws with fixed `chances`: a pure function of the seed and the step, however many were asked for."""

    def __init__(self, chances: Sequence[float], seed: int) -> None:
        self.chances = np.asarray(chances, np.float64)
        self.seed = seed
        self._members = np.empty(0, np.int64)
        self._earlier = np.empty(0, np.int64)

    def at(self, step: int) -> tuple[int, int]:
        """Whose turn it is at `step`, from 0, and how many turns it had before."""
        self._draw(step + 1)
        return int(self._members[step]), int(self._earlier[step])

    def counts(self, steps: int) -> Ids:
        """How many of the first `steps` are whose."""
        self._draw(steps)
        return np.bincount(self._members[:steps], minlength=len(self.chances))

    def _draw(self, steps: int) -> None:
        while len(self._members) < steps:
            numbers = np.random.default_rng((self.seed, len(self._members) // BLOCK)).random(BLOCK)
            drawn = np.searchsorted(np.cumsum(self.chances)[:-1], numbers, side="right")
            before = np.bincount(self._members, minlength=len(self.chances))
            earlier = np.empty(BLOCK, np.int64)
            for member in range(len(self.chances)):
                own = drawn == member
                earlier[own] = before[member] + np.arange(own.sum())
            self._members = np.concatenate([self._members, drawn])
            self._earlier = np.concatenate([self._earlier, earlier])
