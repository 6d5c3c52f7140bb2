"""Rows of numbers of different lengths, in one array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from wenlu.corpus.packing import Ids

Values = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Ragged:
    """Row i is `values[starts[i] : starts[i + 1]]`."""

    values: Values
    starts: Ids

    @classmethod
    def of(cls, rows: Sequence[Iterable[int]] | Sequence[Values], dtype: Any = np.int32) -> Self:
        arrays = [np.asarray(row, dtype) for row in rows]
        starts = np.zeros(len(arrays) + 1, np.int64)
        np.cumsum([len(row) for row in arrays], out=starts[1:])
        return cls(np.concatenate([np.empty(0, dtype), *arrays]), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> Values:
        return self.values[self.starts[index] : self.starts[index + 1]]

    @property
    def sizes(self) -> Ids:
        return np.diff(self.starts)

    def padded(self, indices: Ids, value: int) -> Ids:
        """(B, T) of the rows at `indices`, as long as the longest, with `value` on the right."""
        rows = [self[index] for index in indices.tolist()]
        out = np.full((len(rows), max((len(row) for row in rows), default=0)), value, np.int64)
        for place, row in zip(out, rows, strict=True):
            place[: len(row)] = row
        return out
