"""Predictions as a table: CSV, TSV, Parquet, or the plain vectors of NumPy.

A table cannot be gone on with, so lines of JSON are written beside it and become the table once all are there.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from wenlu.errors import MissingExtra, UsageError
from wenlu.rundir import atomic

VECTORS = ".npy"
_TABLES = (".csv", ".tsv", ".parquet", VECTORS)
_ROWS = 4096


def lines_file(out: Path) -> Path:
    """Where lines are written: `out` itself, or beside a table until it is whole."""
    return out.with_name(f"{out.name}.lines.jsonl") if is_table(out) else out


def is_table(out: Path) -> bool:
    return out.suffix.lower() in _TABLES


def check_table(out: Path, *, are_vectors: bool, overwrite: bool) -> None:
    """Raises, before work begins, UsageError for what could not be written; MissingExtra."""
    if out.suffix.lower() == VECTORS and not are_vectors:
        raise UsageError(f"{out}: holds vectors alone, which this model does not answer with; take .jsonl or .csv")
    if out.suffix.lower() == ".parquet":
        _pyarrow()
    if out.exists() and not overwrite and not lines_file(out).exists():
        raise UsageError(f"{out}: is there already, and whole; choose another --out, or --overwrite")


def write_table(lines: Path, out: Path) -> None:
    """Make `out` of the lines, at once and durably, a part of them at a time."""
    temporary = atomic.temporary_name(out)
    write: dict[str, Callable[[Path, Path], None]] = {
        VECTORS: _write_vectors,
        ".parquet": _write_parquet,
        ".tsv": partial(_write_delimited, delimiter="\t"),
    }
    try:
        write.get(out.suffix.lower(), _write_delimited)(lines, temporary)
        temporary.replace(out)
        atomic.sync_folder(out.parent)
    except OSError as error:
        raise atomic.failed_to_write(out, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _read(lines: Path) -> Iterator[dict[str, Any]]:
    with lines.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _write_delimited(lines: Path, out: Path, *, delimiter: str = ",") -> None:
    """Cells that are no text, number or truth are JSON."""
    columns = list(dict.fromkeys(chain.from_iterable(_read(lines))))
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(columns)
        for line in _read(lines):
            writer.writerow([_cell(line.get(name)) for name in columns])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _write_parquet(lines: Path, out: Path) -> None:
    """A column of one kind is of that kind; one of several, or of objects, is JSON as text."""
    pa, parquet = _pyarrow()
    kinds: dict[str, set[str]] = {}
    for line in _read(lines):
        for name, value in line.items():
            kinds.setdefault(name, set()).add(_kind(value))
    types = {
        "bool": pa.bool_(),
        "int": pa.int64(),
        "float": pa.float64(),
        "text": pa.string(),
        "vector": pa.list_(pa.float32()),
        "texts": pa.list_(pa.string()),
    }
    chosen = {name: _chosen(found) for name, found in kinds.items()}
    schema = pa.schema([(name, types.get(kind, pa.string())) for name, kind in chosen.items()])
    with parquet.ParquetWriter(out, schema) as writer:
        read = _read(lines)
        while part := list(islice(read, _ROWS)):
            rows = [{name: _value(line.get(name), kind) for name, kind in chosen.items()} for line in part]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _kind(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float"
        case str():
            return "text"
        case [*items] if items and all(isinstance(item, float | int) and not isinstance(item, bool) for item in items):
            return "vector"
        case [*items] if all(isinstance(item, str) for item in items):
            return "texts"
    return "json"


def _chosen(kinds: set[str]) -> str:
    said = kinds - {"none"}
    if said == {"int", "float"}:
        return "float"
    return said.pop() if len(said) == 1 else "json" if said else "text"


def _value(value: Any, kind: str) -> Any:
    return json.dumps(value, ensure_ascii=False) if kind == "json" and value is not None else value


def _write_vectors(lines: Path, out: Path) -> None:
    """(rows, numbers) in float32, in the order of the input; of a bad row NaN."""
    count, size = 0, 0
    for line in _read(lines):
        count += 1
        size = size or len(line.get("prediction") or ())
    matrix = np.lib.format.open_memmap(out, mode="w+", dtype=np.float32, shape=(count, size))
    for place, line in enumerate(_read(lines)):
        matrix[place] = line.get("prediction") or np.nan
    matrix.flush()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingExtra("pyarrow", extra="data", purpose="write Parquet files") from error
    return pyarrow, pyarrow.parquet
