"""Rows of encoded text that the disk spoilt: passed over, as long as they are few."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Protocol

from wenlu.errors import DataError


class DamagedTokens(DataError):
    """Tokens whose checksum differs from what was written."""


class Readable(Protocol):
    """Numbered rows, each of which can be tried."""

    def __len__(self) -> int: ...

    def read_row(self, index: int) -> object:
        """Raises DamagedTokens."""


class Damage:
    """Names another row for each that is damaged: the next one that is whole, so that a repetition reads the same.

    Attributes:
        rows: those that were met so far, with the reason.
    """

    def __init__(self, folder: Path, max_fraction: float) -> None:
        self._folder, self._max_fraction = folder, max_fraction
        self.rows: dict[int, str] = {}
        self._untold: list[str] = []

    def around(self, source: Readable, index: int) -> int:
        """`index`, or the row to read in its place; raises DataError where too many are damaged."""
        for place in chain(range(index, len(source)), range(index)):
            if place in self.rows:
                continue
            try:
                source.read_row(place)
            except DamagedTokens as error:
                self._add(place, str(error), len(source))
            else:
                return place
        raise self._error(len(source))

    def news(self) -> list[str]:
        """The reasons of rows that were met since the last call."""
        told, self._untold = self._untold, []
        return told

    def _add(self, place: int, reason: str, count: int) -> None:
        self.rows[place] = reason
        self._untold.append(f"row {place:,}: {reason}")
        if len(self.rows) > self._max_fraction * count:
            raise self._error(count)

    def _error(self, count: int) -> DataError:
        return DataError(
            f"{next(iter(self.rows.values()))}. {len(self.rows)} of {count:,} rows were found damaged, more than "
            f"train.max_damaged_fraction = {self._max_fraction:g}; remove the folder {self._folder} to encode the text "
            "again, and check the disk"
        )
