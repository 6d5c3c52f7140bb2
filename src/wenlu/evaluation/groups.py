"""Examples that stand together, as near-duplicates do, drawn and summed as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.metrics import Column

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

_DRAWS_AT_ONCE = 2**22


@dataclass(frozen=True)
class Groups:
    """Which examples stand together: `members[starts[c] : starts[c + 1]]` are those of cluster c."""

    count: int
    of_example: Ints
    members: Ints
    starts: Ints

    @classmethod
    def of(cls, clusters: Sequence[str] | None, examples: int) -> Groups:
        if clusters is None:
            of_example = np.arange(examples)
        else:
            assert len(clusters) == examples, f"{len(clusters)} clusters for {examples} examples"
            of_example = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)[1]
        count = int(of_example.max()) + 1 if examples else 0
        starts = np.concatenate([[0], np.cumsum(np.bincount(of_example, minlength=count))])
        return cls(count, of_example, np.argsort(of_example, kind="stable"), starts)

    def draws(self, resamples: int, seed: int) -> Iterator[Ints]:
        """(some, count) clusters drawn with replacement, `resamples` rows in all; a function of the seed alone."""
        rng = np.random.default_rng(seed)
        rows = max(1, _DRAWS_AT_ONCE // self.count)
        for start in range(0, resamples, rows):
            yield rng.integers(self.count, size=(min(rows, resamples - start), self.count))

    def times(self, draws: Ints) -> Ints:
        """How often each row draws each cluster, in the shape of `draws`."""
        own = draws + np.arange(len(draws))[:, None] * self.count
        return np.bincount(own.ravel(), minlength=draws.size).reshape(draws.shape)

    def examples(self, drawn: Ints) -> Ints:
        sizes = self.starts[drawn + 1] - self.starts[drawn]
        before = np.cumsum(sizes) - sizes  # how many examples the clusters drawn earlier have
        places = np.repeat(self.starts[drawn] - before, sizes) + np.arange(sizes.sum())
        members: Ints = self.members[places]
        return members

    def sums(self, statistics: Column) -> Floats:
        """(count, K) of the (n, K) statistics of the examples."""
        sums: Floats = np.add.reduceat(statistics[self.members], self.starts[:-1], axis=0, dtype=np.float64)
        return sums
