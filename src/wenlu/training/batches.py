"""What a step trains on: a pure function of the seed and the step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wenlu.corpus.packing import Rows
from wenlu.errors import UsageError
from wenlu.tasks import Draw


@dataclass(frozen=True)
class Batches:
    """Rows of `source` in an order that is shuffled anew each epoch and does not know how many processes read it."""

    source: Rows
    rows_per_step: int
    seed: int
    separate_documents: bool = True
    share: tuple[int, int] = (0, 1)
    """Which part of each step's rows this process reads, and of how many equal ones."""

    def __post_init__(self) -> None:
        """Raises UsageError where the rows of a step cannot be shared equally."""
        if self.rows_per_step % self.share[1]:
            raise UsageError(
                f"train.global_batch_tokens: the {self.rows_per_step} rows of a step cannot be shared equally by "
                f"{self.share[1]} processes; make it a multiple of {self.share[1]} × train.context"
            )

    def rows(self, step: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """(rows_per_step,) numbers of the rows of a step; an epoch's end may fall inside it."""
        samples = self._samples(step)
        epochs, places = np.divmod(samples, len(self.source))
        result = np.empty_like(samples)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            result[here] = self.source.in_order(
                places[here], seed=self.seed, epoch=int(epoch), rows_per_step=self.rows_per_step
            )
        return result

    def micro(self, step: int, rows_per_forward: int) -> Iterator[Draw]:
        """This process's rows of a step, in pieces of `rows_per_forward`."""
        rows, samples = self.rows(step), self._samples(step)
        for piece in self._pieces(rows_per_forward):
            yield Draw.at(
                self.source, rows[piece], samples[piece], seed=self.seed, separate_documents=self.separate_documents
            )

    def work(self, step: int, rows_per_forward: int) -> int:
        """Places that this process computes on in a step, padding included: what the time that it takes grows with."""
        widths = self.source.widths(self.rows(step))
        return sum(len(widths[piece]) * int(widths[piece].max()) for piece in self._pieces(rows_per_forward))

    def damage(self) -> list[str]:
        """What was found damaged since the last call, and passed over."""
        return [] if self.source.damage is None else self.source.damage.news()

    def _pieces(self, rows_per_forward: int) -> Iterator[slice]:
        part, parts = self.share
        first, behind = self.rows_per_step * part // parts, self.rows_per_step * (part + 1) // parts
        for start in range(first, behind, rows_per_forward):
            yield slice(start, min(start + rows_per_forward, behind))

    def _samples(self, step: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Numbers of the rows of a step among all that are ever drawn."""
        return np.arange(step * self.rows_per_step, (step + 1) * self.rows_per_step)
