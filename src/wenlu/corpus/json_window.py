"""JSON of any size, value by value, in memory bounded by the longest of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

from wenlu.corpus.source import SourceFile, SourceSpec
from wenlu.errors import DataError

_PIECE = 1 << 16


class JsonWindow:
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

    def values(self) -> Iterator[Any]:
        """The elements of the list that comes next, or else the values that follow each other up to the end."""
        if self.peek() != "[":
            while self.peek():
                yield self.value()
            return
        yield from self.elements()
        if self.peek():
            raise self.error("something follows the list")

    def elements(self) -> Iterator[Any]:
        """The elements of the list that comes next."""
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        while True:
            yield self.value()
            if self.peek() == "]":
                self.take("]")
                return
            self.take(",")

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


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, refused where a key stands in it twice, as only one of the values could be kept."""
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands in it twice")
    return result
