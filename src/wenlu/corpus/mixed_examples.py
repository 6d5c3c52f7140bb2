"""The examples of several tasks as one source: a step reads those of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from wenlu.corpus.examples import Examples
from wenlu.corpus.packing import PADDING, Ids, PackedRow, Rows
from wenlu.corpus.ragged import Values
from wenlu.corpus.turns import Turns


class MixedExamples(Rows):
    """The rows of the members in turn, one of each, while they last: the first few of all are some of each.

    The k-th step of a member has the rows that it would have at step k alone, with the same seed.

    Attributes:
        parts: the examples of each member by its name. chances: how likely a step is each one's, in their order.
        members, places: (R,) which member a row is of, by its number, and which row of it.
    """

    def __init__(self, parts: Mapping[str, Examples], chances: Values) -> None:
        super().__init__(max(part.length for part in parts.values()))
        assert len(parts) == len(chances), f"{len(chances)} chances for {', '.join(parts)}"
        self.parts = dict(parts)
        self.chances = chances
        sizes = [len(part) for part in parts.values()]
        members = np.repeat(np.arange(len(sizes)), sizes)
        places = np.concatenate([np.arange(size) for size in sizes])
        order = np.lexsort((members, places))
        self.members, self.places = members[order], places[order]
        self._rows_of = [np.flatnonzero(self.members == number) for number in range(len(sizes))]
        self.turns = lru_cache(maxsize=2)(self._turns)

    def __len__(self) -> int:
        return len(self.members)

    def read(self, indices: Ids) -> PackedRow:
        """(B, T), as long as the longest of them."""
        found = [part.read_row(place) for part, place in zip(self._parts(indices), self.places[indices], strict=True)]
        longest = max((row.ids.shape[1] for row in found), default=0)
        ids, segments = np.zeros((len(found), longest), np.int64), np.full((len(found), longest), PADDING)
        for number, row in enumerate(found):
            ids[number, : row.ids.shape[1]] = row.ids[0]
            segments[number, : row.ids.shape[1]] = row.segments[0]
        return PackedRow(ids, segments)

    def widths(self, indices: Ids) -> Ids:
        found = np.empty(len(indices), np.int64)
        for number, part in enumerate(self.parts.values()):
            here = self.members[indices] == number
            found[here] = part.widths(self.places[indices[here]])
        return found

    def in_order(self, places: Ids, *, seed: int, epoch: int, rows_per_step: int) -> Ids:
        """Each step's rows from the member whose turn it is, which goes through its own in epochs of its own."""
        steps, slots = np.divmod(epoch * len(self) + places, rows_per_step)
        rows = np.empty_like(places)
        for step in np.unique(steps).tolist():
            here = steps == step
            number, earlier = self.turns(seed).at(step)
            part = [*self.parts.values()][number]
            epochs, own = np.divmod(earlier * rows_per_step + slots[here], len(part))
            found = np.empty_like(own)
            for one in np.unique(epochs).tolist():
                then = epochs == one
                found[then] = part.in_order(own[then], seed=seed, epoch=one, rows_per_step=rows_per_step)
            rows[here] = self._rows_of[number][found]
        return rows

    def shares(self, seed: int, steps: int) -> dict[str, int]:
        """How many of the first `steps` each member gets."""
        return dict(zip(self.parts, self.turns(seed).counts(steps).tolist(), strict=True))

    def _turns(self, seed: int) -> Turns:
        return Turns(self.chances.tolist(), seed)

    def _parts(self, indices: Ids) -> list[Examples]:
        parts = [*self.parts.values()]
        return [parts[number] for number in self.members[indices].tolist()]
