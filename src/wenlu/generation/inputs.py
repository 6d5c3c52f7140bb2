"""Where rows to predict come from: a file of prompts, standard input, or a dataset as recipes read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Literal, cast, get_args

from wenlu.config import Config
from wenlu.corpus.record import Drop
from wenlu.corpus.source import SourceSpec
from wenlu.corpus.sources import open_source
from wenlu.errors import DataError, MissingExtra, UsageError
from wenlu.generation.rows import BadRow, Format, Row, read_rows

COUNTED = 64 * 2**20
"""Bytes of a file whose lines are counted before it is read; a larger one is taken to go on alike."""

_DATASETS = (".parquet", ".pq", ".arrow", ".json", ".gz", ".zst")
_COLUMNAR = (".parquet", ".pq")
_ELSEWHERE = ("package:", "hf:")


class ReadingConfig(Config):
    """How to read a file of prompts.

    Attributes:
        format: "auto" goes by the file's ending; standard input is then `txt`, a prompt a line.
        column: key or column of the prompt; "auto" takes `prompt`, else `text`, else a conversation in `messages`.
        split: of a Hugging Face dataset.
        subset: which configuration of a Hugging Face dataset that has several.
    """

    format: Format | Literal["auto"] = "auto"
    column: str = "auto"
    split: str = "train"
    subset: str = ""


def rows_in(stack: ExitStack, source: Path | BinaryIO, config: ReadingConfig) -> Iterator[Row | BadRow]:
    """The rows of `source`, which `stack` closes.

    Raises:
        UsageError: an ending without known format.
        DataError: it cannot be read, or has no rows.
    """
    if not isinstance(source, Path):
        format: Format = "txt" if config.format == "auto" else config.format
        rows = read_rows(source, name="stdin", format=format, column=config.column)
    elif config.format == "auto" and is_dataset(source):
        rows, format = _dataset(source, config), "jsonl"
    else:
        format = _format(source, config)
        rows = read_rows(stack.enter_context(_open(source)), name=source.name, format=format, column=config.column)
    first = next(rows, None)
    if first is None:
        name = source if isinstance(source, Path) else "standard input"
        raise DataError(f"{name}: no rows to predict; a prompt a line is expected ({format})")
    return chain([first], rows)


def is_dataset(path: Path) -> bool:
    """Whether it is read as recipes read data: Parquet, Arrow, JSON, a compressed file, a folder, `package:`, `hf:`."""
    return is_elsewhere(path) or path.is_dir() or (path.is_file() and path.suffix.lower() in _DATASETS)


def is_elsewhere(path: Path) -> bool:
    """Whether it stands for data that are fetched: `package:NAME/inner/path` or `hf:ORGANISATION/NAME`."""
    return str(path).startswith(_ELSEWHERE)


def expected_rows(source: Path | BinaryIO) -> int | None:
    """About how many rows there will be, for the bar; None where that is not quickly known."""
    if not isinstance(source, Path) or not source.is_file():
        return None
    suffix = source.suffix.lower()
    if suffix in _COLUMNAR:
        return _parquet_rows(source)
    if suffix.removeprefix(".") not in get_args(Format):
        return None
    lines, read = 0, 0
    try:
        with source.open("rb") as file:
            while read < COUNTED and (block := file.read(2**20)):
                lines += block.count(b"\n")
                read += len(block)
        size = source.stat().st_size
    except OSError:
        return None
    has_header = suffix in (".csv", ".tsv")
    return max(1, round(lines * size / max(1, read)) - has_header)


def _dataset(path: Path, config: ReadingConfig) -> Iterator[Row | BadRow]:
    column = config.column
    if column == "auto":
        column = "prompt" if "prompt" in _parquet_columns(path) else "text"
    spec = SourceSpec(
        path=str(path), text=column, id="id", by="line", split=config.split, subset=config.subset, max_bad_fraction=1.0
    )
    return (
        BadRow(item.record.id, item.reason) if isinstance(item, Drop) else Row(item.id, item.text)
        for item in open_source(spec)
    )


def _parquet_columns(path: Path) -> list[str]:
    if path.suffix.lower() not in _COLUMNAR:
        return []
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_schema
    except ModuleNotFoundError as error:
        raise MissingExtra("pyarrow", extra="data", purpose="read Parquet files") from error
    try:
        return list(read_schema(path).names)
    except (ArrowException, OSError):
        return []  # who reads it says what is wrong


def _parquet_rows(path: Path) -> int | None:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_metadata
    except ModuleNotFoundError:
        return None
    try:
        return int(read_metadata(path).num_rows)
    except (ArrowException, OSError):
        return None


def _format(path: Path, config: ReadingConfig) -> Format:
    if config.format != "auto":
        return config.format
    ending = path.suffix.removeprefix(".").lower()
    for format in get_args(Format):
        if ending == format:
            return cast(Format, format)
    raise UsageError(
        f"{path}: cannot tell its format from {path.suffix or 'no ending'!r}; set format=txt, jsonl, csv or tsv"
    )


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; for a single prompt write --text {str(path)!r}") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: a folder, not a file of prompts") from error
    except PermissionError as error:
        raise DataError(f"{path}: no permission to read it") from error
