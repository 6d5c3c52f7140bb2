"""Parquet: a row a record, read row group by row group, only the columns that are named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wenlu.corpus.columns import require_columns, to_record, wanted_columns
from wenlu.corpus.pictures.reference import ROWS, embedded
from wenlu.corpus.reading import reading
from wenlu.corpus.source import FileKind, Read, SourceFile, SourceSpec
from wenlu.errors import DataError, MissingExtra

_ROWS = 256
_BUFFER = 1 << 20


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise MissingExtra("pyarrow", extra="data", purpose="read Parquet files") from error
    if file.path.suffix.lower() in (".gz", ".zst"):
        raise DataError(f"{file.path}: a compressed Parquet file, which cannot be read in parts; decompress it first")
    number = 0
    with reading(file.path):
        try:
            with ParquetFile(file.path, buffer_size=_BUFFER) as table:
                names = table.schema_arrow.names
                require_columns(names, spec, str(file.path))
                for row in _rows(table, wanted_columns(spec, names), ROWS if spec.image else _ROWS):
                    number += 1
                    if spec.image:
                        row = embedded(row, spec.image, number)
                    yield to_record(row, f"{file.id}:{number}", spec)
        except (ArrowException, UnicodeDecodeError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            said = str(error).partition("\n")[0].rstrip(".")
            raise DataError(
                f"{file.path}, after row {number}: damaged or cut off Parquet file ({said}); copy it again"
            ) from error


def _rows(table: Any, columns: list[str], at_a_time: int) -> Iterator[dict[str, Any]]:
    # One group at a time: over several, pyarrow keeps what it has read until the end.
    for group in range(table.num_row_groups):
        for batch in table.iter_batches(at_a_time, row_groups=[group], columns=columns):
            yield from batch.to_pylist()


KIND = FileKind("parquet", (".parquet", ".pq"), _read, columnar=True)
