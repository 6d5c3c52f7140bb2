"""CSV and TSV (RFC 4180): quoted cells may hold delimiters and newlines; the first line names the columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice

from wenlu.corpus.columns import require_columns, to_record
from wenlu.corpus.reading import decode, line_encoding, lines, open_text_bytes, refuse_nul
from wenlu.corpus.source import Bad, FileKind, Read, SourceFile, SourceSpec
from wenlu.errors import DataError


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    # The limit belongs to the process; it guards against an open quote that swallows the rest of the file.
    csv.field_size_limit(max(csv.field_size_limit(), spec.max_record_bytes))
    rows = csv.reader(
        islice(_lines(file, spec), spec.skip, None),
        delimiter=_delimiter(file, spec),
        quotechar=spec.quote or None,
        quoting=csv.QUOTE_MINIMAL if spec.quote else csv.QUOTE_NONE,
        strict=True,
    )
    columns = spec.columns
    first = line = spec.skip + 1
    while True:
        try:
            cells = next(rows, None)
        except csv.Error as error:
            hint = 'set quote = "" if cells are never quoted' if spec.quote else "is the file whole?"
            raise DataError(f"{file.path}, line {line}: malformed table row ({error}); {hint}") from error
        if cells is None:
            return
        if not cells:
            pass
        elif not columns:
            columns = _header(cells, file, line)
            require_columns(columns, spec, f"{file.path}, line {line}")
        else:
            if line == first:
                require_columns(columns, spec, f"{file.path}, line {line}")
            id = f"{file.id}:{line}"
            if len(cells) == len(columns):
                yield to_record(dict(zip(columns, cells, strict=True)), id, spec)
            else:
                yield Bad(id, "wrong number of cells", f"{len(cells)} cells for {len(columns)} columns")
        line = rows.line_num + first


def _lines(file: SourceFile, spec: SourceSpec) -> Iterator[str]:
    encoding = line_encoding(spec.encoding)
    with open_text_bytes(file.path, spec.encoding) as stream:
        for line in lines(stream, spec.max_record_bytes):
            if line.data is None:
                raise DataError(
                    f"{file.path}, line {line.number}: longer than max_record_bytes = {spec.max_record_bytes}; "
                    "raise it, or is this a table?"
                )
            refuse_nul(line.data, path=file.path, line=line.number, offset=line.offset)
            yield decode(line.data, encoding, path=file.path, line=line.number, offset=line.offset)


def _delimiter(file: SourceFile, spec: SourceSpec) -> str:
    if spec.delimiter != "auto":
        return spec.delimiter
    return "\t" if any(suffix.lower() in (".tsv", ".tab") for suffix in file.path.suffixes[-2:]) else ","


def _header(cells: Sequence[str], file: SourceFile, line: int) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in cells)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{file.path}, line {line}: the column {twice[0]!r} stands in the header twice; rename one")
    return names


KIND = FileKind("table", (".csv", ".tsv", ".tab"), _read, columnar=True)
