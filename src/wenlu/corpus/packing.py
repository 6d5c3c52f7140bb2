"""Documents laid into rows of one length."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.corpus.damage import Damage, DamagedTokens
from wenlu.corpus.order import shuffled
from wenlu.corpus.shards import TokenData
from wenlu.errors import DataError

Ids = np.ndarray[Any, np.dtype[np.int64]]

PADDING = -1
"""The segment of places that hold no token."""


@dataclass(frozen=True)
class PackedRow:
    """One row, (length+1,), or B of them, (B, length+1); inputs are all but the last column, targets all but the first.

    Attributes:
        ids: token ids.
        segments: number of the document that the token belongs to, from 0 in each row; PADDING where there is none.
    """

    ids: Ids
    segments: Ids


class Rows(ABC):
    """Tokens in rows of at most `length`, which a task makes its batches of.

    Attributes:
        damage: what to do where the disk spoilt a row; None: raise.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.damage: Damage | None = None

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, indices: Ids) -> PackedRow:
        """The rows at `indices`, which exist; raises DamagedTokens."""

    def read_row(self, index: int) -> PackedRow:
        return self.read(np.array([index]))

    def widths(self, indices: Ids) -> Ids:
        """How long each row is, by what is computed on it; those of a batch are padded to the longest."""
        return np.full(len(indices), self.length)

    def in_order(self, places: Ids, *, seed: int, epoch: int, rows_per_step: int) -> Ids:  # noqa: ARG002
        """Which rows stand at `places` of an epoch; a pure function of its arguments."""
        return shuffled(places, n=len(self), seed=seed, epoch=epoch)

    def rows(self, indices: Ids) -> PackedRow:
        """The rows at `indices`, (B,), in that order, others in place of damaged ones; raises IndexError, DataError."""
        indices = np.asarray(indices, np.int64)
        if indices.size and not (indices.min() >= 0 and indices.max() < len(self)):
            raise IndexError(f"rows {indices.min()} to {indices.max()} are not all in 0 … {len(self) - 1}")
        try:
            return self.read(indices)
        except DamagedTokens:
            if self.damage is None:
                raise
            return self.read(np.array([self.damage.around(self, index) for index in indices.tolist()]))


class TokenRows(Rows):
    """Rows of encoded documents."""

    def __init__(self, data: TokenData, length: int) -> None:
        super().__init__(length)
        self.data = data


class Windows(TokenRows):
    """All tokens in rows of `length` targets: documents one after the other, cut where a row is full.

    Row i is tokens i·length … (i+1)·length, so each token but the first is a target exactly once. What is left
    at the end, shorter than a row, is not used.

    Raises DataError where the text does not fill one row.
    """

    def __init__(self, data: TokenData, length: int) -> None:
        assert length > 0, f"length = {length}"
        super().__init__(data, length)
        self._count = max(0, data.num_tokens - 1) // length
        if self._count == 0:
            raise DataError(
                f"{data.folder}: {data.num_tokens} tokens do not fill one row of {length} + 1; "
                "give more text or a shorter context"
            )

    @property
    def unused_tokens(self) -> int:
        return self.data.num_tokens - 1 - self._count * self.length

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> PackedRow:
        row = self.rows(np.array([range(self._count)[index]]))
        return PackedRow(row.ids[0], row.segments[0])

    def read(self, indices: Ids) -> PackedRow:
        starts = indices * self.length
        ids = np.empty((len(indices), self.length + 1), np.int64)
        for row, start in zip(ids, starts.tolist(), strict=True):
            row[:] = self.data.tokens(start, start + self.length + 1)
        positions = starts[:, None] + np.arange(self.length + 1)
        documents = np.searchsorted(self.data.document_starts, positions, side="right")
        return PackedRow(ids, documents - documents[:, :1])


@dataclass(frozen=True)
class Piece:
    """Tokens `start` … `stop` - 1 of a document."""

    document: int
    start: int
    stop: int


@dataclass(frozen=True)
class Packing:
    """Rows of pieces of documents.

    Attributes:
        utilisation: tokens among all places of all rows, from 0 to 1.
    """

    rows: tuple[tuple[Piece, ...], ...]
    utilisation: float


def pack_documents(lengths: Sequence[int], length: int) -> Packing:
    """Lay documents of `lengths` tokens into rows of `length`, each where the least room is left that suffices.

    Best-fit decreasing (Johnson 1973; for language models Ding et al. 2024, arXiv:2404.10830): the longest first,
    equal ones in their order. No document is cut unless it is longer than a row; then all but its last piece
    fill a row each. Empty documents take no place. Time grows as n · log n.
    """
    assert length > 0, f"length = {length}"
    assert all(size >= 0 for size in lengths), "a document has a negative length"
    pieces = [
        Piece(document, start, min(start + length, size))
        for document, size in enumerate(lengths)
        for start in range(0, size, length)
    ]
    pieces.sort(key=lambda piece: piece.start - piece.stop)
    rows: list[list[Piece]] = []
    by_room: list[list[int]] = [[] for _ in range(length + 1)]  # rows with that much room
    rooms = 0  # bit r is set where by_room[r] has rows
    for piece in pieces:
        size = piece.stop - piece.start
        enough = rooms >> size
        if enough:
            room = size + (enough & -enough).bit_length() - 1
            row = by_room[room].pop()
            if not by_room[room]:
                rooms ^= 1 << room
        else:
            room, row = length, len(rows)
            rows.append([])
        rows[row].append(piece)
        if left := room - size:
            by_room[left].append(row)
            rooms |= 1 << left
    used = sum(lengths)
    return Packing(tuple(map(tuple, rows)), used / (len(rows) * length) if rows else 1.0)
