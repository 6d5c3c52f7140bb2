"""Items put aside on disk while a step must see all of them before it can let the first one go."""

from __future__ import annotations

import errno
import marshal
import os
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType

from wenlu.corpus.record import Drop, Item, Record
from wenlu.errors import ResourceError

_BLOCK = 2**20

Row = tuple[str, str, tuple[tuple[str, str], ...], str, str]
"""Text, id, meta, and for a drop its step and reason."""


class Spool:
    """Items in order, in one temporary file that vanishes when it is closed; sixteen bytes of memory an item.

    Args:
        folder: where the file lies; None for the system's folder for temporary files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir())
        try:
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  closed by __exit__
        except OSError as error:
            raise ResourceError(f"{self._folder}: cannot hold temporary files: {error}") from error
        self._offsets = array("Q", [0])
        self._records = array("Q")  # places of the items that are records
        self._unwritten: list[bytes] = []
        self._unwritten_bytes = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def append(self, item: Item) -> None:
        if isinstance(item, Drop):
            record, step, reason = item.record, item.step, item.reason
        else:
            record, step, reason = item, "", ""
            self._records.append(len(self._offsets) - 1)
        data = marshal.dumps((record.text, record.id, tuple(record.meta.items()), step, reason))
        self._offsets.append(self._offsets[-1] + len(data))
        self._unwritten.append(data)
        self._unwritten_bytes += len(data)
        if self._unwritten_bytes > _BLOCK:
            self._write()

    def __getitem__(self, i: int) -> Item:
        self._write()
        start, end = self._offsets[i], self._offsets[i + 1]
        return _item(marshal.loads(_read(self._file.fileno(), start, end - start)))

    def texts(self, numbers: Sequence[int]) -> list[str]:
        """The texts of records, which are numbered without counting the drops between them."""
        items = [self[self._records[number]] for number in numbers]
        return [item.text for item in items if isinstance(item, Record)]

    def records(self) -> Iterator[Record]:
        """All records, in order, without the drops between them."""
        return (item for item in self if isinstance(item, Record))

    def __iter__(self) -> Iterator[Item]:
        for block in self.blocks():
            yield from map(_item, self._rows(block))

    def blocks(self) -> Iterator[range]:
        """The places of all items in stretches of about a megabyte."""
        self._write()
        first = 0
        while first < len(self):
            last = max(bisect_right(self._offsets, self._offsets[first] + _BLOCK, first) - 1, first + 1)
            yield range(first, last)
            first = last

    def block_texts(self, block: range) -> list[str]:
        """The texts of the records among the items at these places; a forked process may ask for them too."""
        return [row[0] for row in self._rows(block) if not row[3]]

    def _rows(self, block: range) -> list[Row]:
        places = self._offsets[block.start : block.stop + 1]
        start = places[0]
        data = memoryview(_read(self._file.fileno(), start, places[-1] - start))
        return [marshal.loads(data[a - start : b - start]) for a, b in pairwise(places)]

    def _write(self) -> None:
        data = memoryview(b"".join(self._unwritten))
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise ResourceError(
                f"{self._folder}: no space left for a temporary copy of the data; free some and run again"
            ) from error
        self._unwritten, self._unwritten_bytes = [], 0


def _read(fd: int, start: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.pread(fd, size, start)
        assert part, "the spool's file is shorter than its offsets say"
        parts.append(part)
        start += len(part)
        size -= len(part)
    return b"".join(parts)


def _item(row: Row) -> Item:
    text, name, meta, step, reason = row
    record = Record(text, name, dict(meta))
    return Drop(record, step, reason) if step else record
