"""JSON: a list of objects (or of strings), one object, or objects one after another; read piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from wenlu.corpus.columns import require_column, to_record
from wenlu.corpus.reading import open_text
from wenlu.corpus.record import Record
from wenlu.corpus.source import Bad, FileKind, Read, SourceFile, SourceSpec
from wenlu.corpus.sources.jsonl import unique_keys
from wenlu.errors import DataError

_PIECE = 1 << 16


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    columns: dict[str, None] = {}  # in the order of their first appearance
    path = spec.within.split(".") if spec.within else []
    with open_text(file.path, spec.encoding) as stream:
        rows = (row for value in _values(stream, file, spec) for row in _descend(value, path, file))
        for number, row in enumerate(rows, start=1):
            id = f"{file.id}:{number}"
            if isinstance(row, str):
                yield Record(row, id)
            elif isinstance(row, dict):
                if not columns:
                    require_column(spec.text, row, setting="text", where=f"{file.path}, record {number}")
                columns.update(dict.fromkeys(row))
                yield to_record(row, id, spec)
            else:
                yield Bad(
                    id, "not an object", f"{json.dumps(row, ensure_ascii=False)[:60]} is neither object nor string"
                )
    if columns:
        for name in spec.meta:
            require_column(name, columns, setting="meta", where=str(file.path))


def _descend(value: Any, path: Sequence[str], file: SourceFile) -> Iterator[Any]:
    """Follow the keys of `within`, through each element of the lists on the way."""
    if path and isinstance(value, list):
        for element in value:
            yield from _descend(element, path, file)
    elif path:
        columns = value if isinstance(value, dict) else ()
        require_column(path[0], columns, setting="within", where=str(file.path))
        yield from _descend(value[path[0]], path[1:], file)
    elif isinstance(value, list):
        yield from value
    else:
        yield value


def _values(stream: TextIO, file: SourceFile, spec: SourceSpec) -> Iterator[Any]:
    """The elements of the outermost list, or the values that follow each other."""
    text = _Window(stream, file, spec)
    if text.peek() != "[":
        while text.peek():
            yield text.value()
        return
    text.take("[")
    if text.peek() == "]":
        return
    while True:
        yield text.value()
        if text.peek() == "]":
            text.take("]")
            if text.peek():
                raise text.error("something follows the list")
            return
        text.take(",")


class _Window:
    """The part of the text that is being parsed; it grows until one value is whole, up to the cap."""

    def __init__(self, stream: TextIO, file: SourceFile, spec: SourceSpec) -> None:
        self._stream, self._file, self._spec = stream, file, spec
        self._text, self._at, self._line = "", 0, 1
        self._decoder = json.JSONDecoder(object_pairs_hook=unique_keys)

    def peek(self) -> str:
        """The next character that is not a space; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._grow():
                return ""

    def take(self, expected: str) -> None:
        if self.peek() != expected:
            raise self.error(f"{expected!r} is expected, not {self.peek() or 'the end of the file'!r}")
        self._at += 1

    def value(self) -> Any:
        if not self.peek():
            raise self.error("the file ends too early")
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._grow():
                    raise self.error(error.msg, at=error.pos) from error
            except (ValueError, RecursionError) as error:
                raise self.error(str(error)) from error
            else:
                # A number may go on in the next piece.
                if end < len(self._text) or not self._grow():
                    self._at = end
                    return value

    def error(self, message: str, *, at: int | None = None) -> DataError:
        line = self._line + self._text.count("\n", 0, self._at if at is None else at)
        return DataError(f"{self._file.path}, line {line}: malformed JSON: {message}. Is the file whole?")

    def _grow(self) -> bool:
        """Forget what is parsed and read on, more each time as a value is parsed anew; False at the end."""
        self._line += self._text.count("\n", 0, self._at)
        self._text, self._at = self._text[self._at :], 0
        if len(self._text) > self._spec.max_record_bytes:
            raise DataError(
                f"{self._file.path}, line {self._line}: a record longer than max_record_bytes = "
                f"{self._spec.max_record_bytes}; raise it, or write the file as JSON Lines"
            )
        piece = self._stream.read(max(_PIECE, len(self._text)))
        self._text += piece
        return bool(piece)


KIND = FileKind("json", (".json",), _read, columnar=True)
