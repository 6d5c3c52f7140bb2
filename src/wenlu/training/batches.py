"""Which rows a step trains on: a pure function of the seed and the step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wenlu.corpus.order import shuffled
from wenlu.corpus.packing import PackedRow, Windows


@dataclass(frozen=True)
class Batches:
    """Rows of `windows` in an order that is shuffled anew each epoch and does not know how many processes read it."""

    windows: Windows
    rows_per_step: int
    seed: int

    def rows(self, step: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """(rows_per_step,) numbers of the windows of a step; an epoch's end may fall inside it."""
        samples = np.arange(step * self.rows_per_step, (step + 1) * self.rows_per_step)
        epochs, places = np.divmod(samples, len(self.windows))
        result = np.empty_like(samples)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            result[here] = shuffled(places[here], n=len(self.windows), seed=self.seed, epoch=int(epoch))
        return result

    def micro(self, step: int, rows_per_forward: int) -> Iterator[PackedRow]:
        """The rows of a step, in pieces of `rows_per_forward`."""
        rows = self.rows(step)
        for start in range(0, len(rows), rows_per_forward):
            yield self.windows.rows(rows[start : start + rows_per_forward])
