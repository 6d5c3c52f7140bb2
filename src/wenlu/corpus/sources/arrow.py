"""Arrow, as a stream (what Hugging Face datasets save) or as a file; read batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wenlu.corpus.columns import require_columns, to_record, wanted_columns
from wenlu.corpus.pictures.reference import ROWS, embedded
from wenlu.corpus.reading import reading
from wenlu.corpus.source import FileKind, Read, SourceFile, SourceSpec
from wenlu.errors import DataError, MissingExtra

_ROWS = 256


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    try:
        import pyarrow as pa
    except ModuleNotFoundError as error:
        raise MissingExtra("pyarrow", extra="data", purpose="read Arrow files") from error
    if file.path.suffix.lower() in (".gz", ".zst"):
        raise DataError(f"{file.path}: a compressed Arrow file, which cannot be read in parts; decompress it first")
    number, at_a_time = 0, ROWS if spec.image else _ROWS
    with reading(file.path):
        try:
            with pa.OSFile(str(file.path)) as data:
                for batch in _batches(pa, data, file, spec):
                    for first in range(0, batch.num_rows, at_a_time):
                        for row in batch.slice(first, at_a_time).to_pylist():
                            number += 1
                            if spec.image:
                                row = embedded(row, spec.image, number)
                            yield to_record(row, f"{file.id}:{number}", spec)
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            said = str(error).partition("\n")[0].rstrip(".")
            raise DataError(
                f"{file.path}, after row {number}: damaged or cut off Arrow file ({said}); copy it again"
            ) from error


def _batches(pa: Any, data: Any, file: SourceFile, spec: SourceSpec) -> Iterator[Any]:
    is_file = data.read(6) == b"ARROW1"
    data.seek(0)
    reader = pa.ipc.open_file(data) if is_file else pa.ipc.open_stream(data)
    require_columns(reader.schema.names, spec, str(file.path))
    wanted = wanted_columns(spec, reader.schema.names)
    batches = (reader.get_batch(i) for i in range(reader.num_record_batches)) if is_file else reader
    for batch in batches:
        chosen = batch.select(wanted)
        chosen.validate(full=True)  # pyarrow trusts offsets, and a damaged file could crash the process
        yield chosen


KIND = FileKind("arrow", (".arrow", ".feather"), _read, columnar=True)
