"""Encoded examples of a labelled task: rows of their own lengths, batched with others of about the same."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from wenlu.corpus.order import shuffled
from wenlu.corpus.packing import PADDING, Ids, PackedRow, Rows
from wenlu.corpus.ragged import Ragged, Values

STEPS_SORTED = 50
"""So many steps' rows are drawn at random, then sorted by length: padding costs little, and steps stay random."""


class Examples(Rows):
    """What a labelled task makes batches of.

    Attributes:
        inputs: token ids of each row. types: 0 for the first and 1 for the second text of each token, if there are two.
        targets: of each token, or the ids that are to be written, if the task has such.
        labels: (R, …) the answer to each row, if the task has such.
        owners: (R,) which example the row is of, from 0: a long one may have several rows, which stand together.
        notes: what is to be told of them once, as how many were cut.
    """

    def __init__(
        self,
        inputs: Ragged,
        *,
        length: int,
        pad_id: int,
        owners: Ids | None = None,
        types: Ragged | None = None,
        targets: Ragged | None = None,
        labels: Values | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(length)
        assert len(inputs), "no examples"
        assert int(inputs.sizes.max()) <= length, f"a row of {int(inputs.sizes.max())} tokens, but at most {length}"
        self.inputs = inputs
        self.pad_id = pad_id
        self.types = types
        self.targets = targets
        self.labels = labels
        self.notes = notes
        self.owners = np.arange(len(inputs)) if owners is None else owners
        self._widths = inputs.sizes if targets is None else inputs.sizes + targets.sizes
        self._order = lru_cache(maxsize=2)(self._ordered)  # a step at the end of an epoch reads from two

    def __len__(self) -> int:
        return len(self.inputs)

    def read(self, indices: Ids) -> PackedRow:
        """(B, T), as long as the longest of them."""
        ids = self.inputs.padded(indices, self.pad_id)
        real = np.arange(ids.shape[1]) < self.inputs.sizes[indices][:, None]
        return PackedRow(ids, np.where(real, 0, PADDING))

    def widths(self, indices: Ids) -> Ids:
        return self._widths[indices]

    def in_order(self, places: Ids, *, seed: int, epoch: int, rows_per_step: int) -> Ids:
        """At random, with rows of about one length in a step."""
        return self._order(seed, epoch, rows_per_step)[places]

    def _ordered(self, seed: int, epoch: int, rows_per_step: int) -> Ids:
        count = len(self)
        drawn = shuffled(np.arange(count), n=count, seed=seed, epoch=epoch)
        window = STEPS_SORTED * rows_per_step
        parts = [drawn[start : start + window] for start in range(0, count, window)]
        sorted_rows = np.concatenate([part[np.argsort(self._widths[part], kind="stable")] for part in parts])
        begun = min(count, -epoch * count % rows_per_step)  # rows that complete the step which the pass before began
        full = (count - begun) // rows_per_step
        steps = sorted_rows[: full * rows_per_step].reshape(full, rows_per_step)
        if full > 1:
            steps = steps[shuffled(np.arange(full), n=full, seed=seed + 1, epoch=epoch)]
        rest = sorted_rows[full * rows_per_step :]
        return np.concatenate([rest[:begun], steps.ravel(), rest[begun:]])
