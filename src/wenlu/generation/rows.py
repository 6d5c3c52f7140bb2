"""The rows of a file to predict: one prompt or conversation each, or what is wrong with it.

A bad row does not stop the file; a file that is bad as a whole raises DataError.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

from wenlu.corpus.chats import conversation_in, to_openai
from wenlu.errors import DataError

Format = Literal["txt", "jsonl", "csv", "tsv"]

MAX_ROW_BYTES = 16 * 2**20
"""A longer line is a bad row: reading stays flat in memory whatever the file."""

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_CHATS = ("messages", "conversations")


@dataclass(frozen=True, slots=True)
class Row:
    """A prompt with the `id` that the file gives it, else its file and line: `prompts.txt:17`; and further columns.

    Attributes:
        messages: of a conversation, as chat templates take them; `prompt` is then what was said last.
    """

    id: str
    prompt: str
    meta: Mapping[str, str] = field(default_factory=dict)
    messages: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be predicted, and why."""

    id: str
    error: str


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    content: bytes
    whole: bool


def read_rows(stream: BinaryIO, *, name: str, format: Format, column: str = "auto") -> Iterator[Row | BadRow]:
    """The rows of `stream` in order; blank lines are none.

    Args:
        name: of the file, for ids and messages.
        column: key or column of the prompt; "auto" takes `prompt`, else `text`, else in jsonl a conversation in
            `messages` or `conversations`. Not used for `txt`.

    Raises:
        DataError: UTF-16, or a table without header or without that column.
    """
    match format:
        case "txt":
            return _text_rows(stream, name)
        case "jsonl":
            return _json_rows(stream, name, column)
        case "csv":
            return _table_rows(stream, name, column, ",")
        case "tsv":
            return _table_rows(stream, name, column, "\t")


def _text_rows(stream: BinaryIO, name: str) -> Iterator[Row | BadRow]:
    for line in _lines(stream, name):
        id = f"{name}:{line.number}"
        text = _decoded(line)
        if isinstance(text, _Problem):
            yield BadRow(id, text.error)
        elif text.strip():
            yield Row(id, text)


def _json_rows(stream: BinaryIO, name: str, column: str) -> Iterator[Row | BadRow]:
    for line in _lines(stream, name):
        id = f"{name}:{line.number}"
        text = _decoded(line)
        if isinstance(text, _Problem):
            yield BadRow(id, text.error)
        elif text.strip():
            yield _json_row(text, id, column)


def _json_row(text: str, id: str, column: str) -> Row | BadRow:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return BadRow(id, f"not JSON: {error.msg} at character {error.pos + 1}")
    except RecursionError:
        return BadRow(id, "JSON nested too deeply")
    if not isinstance(value, dict):
        return BadRow(id, f"a JSON {_kind(value)}, not an object with a prompt")
    given = value.get("id")
    if isinstance(given, str | int) and not isinstance(given, bool):
        id = _printable(str(given))
    key = _column(column, list(value), _CHATS)
    if key is None:
        return BadRow(id, _missing(column, list(value)))
    prompt = value[key]
    if isinstance(prompt, list):
        return _conversation(prompt, key, id)
    if not isinstance(prompt, str):
        return BadRow(id, f"{key}: a JSON {_kind(prompt)}, not text")
    if prompt != _printable(prompt):
        return BadRow(id, f"{key}: half of a surrogate pair, which is no character")
    return Row(id, prompt)


def _conversation(value: list[Any], key: str, id: str) -> Row | BadRow:
    try:
        turns = conversation_in(value, key)
    except DataError as error:
        return BadRow(id, str(error))
    if any(turn.content != _printable(turn.content) for turn in turns):
        return BadRow(id, f"{key}: half of a surrogate pair, which is no character")
    return Row(id, turns[-1].content, messages=tuple(to_openai(turns)))


def _table_rows(stream: BinaryIO, name: str, column: str, delimiter: str) -> Iterator[Row | BadRow]:
    # The limit belongs to the process; ours is the limit of a row.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_BYTES))
    texts = (line.content.decode("utf-8", errors="surrogateescape") for line in _lines(stream, name))
    reader = csv.reader(texts, strict=True, delimiter=delimiter)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise DataError(f"{name}: line 1: not CSV: {error}") from error
    if header is None:
        return
    key = _column(column, header)
    if key is None:
        raise DataError(f"{name}: {_missing(column, header)}")
    if header.count(key) > 1:
        raise DataError(f"{name}: column {key} stands {header.count(key)} times in the header; rename all but one")
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            yield BadRow(f"{name}:{reader.line_num}", f"not CSV: {error}")
            continue
        if fields is None:
            return
        if fields:
            yield _csv_row(fields, header, key, f"{name}:{reader.line_num}")


def _csv_row(fields: Sequence[str], header: Sequence[str], key: str, id: str) -> Row | BadRow:
    if len(fields) != len(header):
        return BadRow(id, f"{len(fields)} fields, the header has {len(header)}")
    if "id" in header:
        id = _printable(fields[header.index("id")])
    prompt = fields[header.index(key)]
    if prompt != _printable(prompt):
        return BadRow(id, f"{key}: not UTF-8 text")
    return Row(id, prompt)


def _lines(stream: BinaryIO, name: str) -> Iterator[_Line]:
    number = 0
    while first := stream.readline(MAX_ROW_BYTES):
        number += 1
        if number == 1 and first.startswith(_UTF16):
            raise DataError(f"{name}: UTF-16 text; save the file as UTF-8")
        part = first
        while len(part) == MAX_ROW_BYTES and not part.endswith(b"\n"):
            part = stream.readline(MAX_ROW_BYTES)
        content = first.removeprefix(b"\xef\xbb\xbf") if number == 1 else first
        yield _Line(number, content, whole=part is first)


@dataclass(frozen=True, slots=True)
class _Problem:
    error: str


def _decoded(line: _Line) -> str | _Problem:
    if not line.whole:
        return _Problem(f"longer than {MAX_ROW_BYTES // 2**20} MiB")
    try:
        return line.content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        return _Problem(f"not UTF-8 text (byte {error.start + 1} of the line)")


def _column(column: str, known: Sequence[str], more: tuple[str, ...] = ()) -> str | None:
    wanted = ("prompt", "text", *more) if column == "auto" else (column,)
    return next((name for name in wanted if name in known), None)


def _missing(column: str, known: Sequence[str]) -> str:
    wanted = "prompt or text" if column == "auto" else column
    return f"no {wanted} among {', '.join(known) or 'no keys'}; name the prompt's with column=NAME"


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _printable(text: str) -> str:
    """`text` as UTF-8 can hold it."""
    return text.encode("utf-8", errors="replace").decode("utf-8")
