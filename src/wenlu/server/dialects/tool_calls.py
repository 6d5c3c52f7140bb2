"""Calls of functions in the text of an answer, told while it is being written.

A call stands in the text as `<tool_call>{"name": …, "arguments": {…}}</tool_call>` (the Hermes form), where white space
may be between all parts. Wherever the text is cut into pieces, the calls are the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)', re.DOTALL)
_LONGEST_HEAD = 1000
_CLOSERS = {"{": "}", "[": "]"}
_BARE = frozenset(' \t\r\n,:0123456789+-.eE"{}[]truefalsn')
"""Characters that JSON has outside of strings."""


@dataclass(frozen=True)
class Said:
    """Text that is no call."""

    text: str


@dataclass(frozen=True)
class Called:
    """A call begins; `index` counts the calls of the answer."""

    index: int
    name: str


@dataclass(frozen=True)
class Arguments:
    """More of a call's arguments, as the model writes them."""

    index: int
    text: str


Piece = Said | Called | Arguments


class ToolCalls:
    """Finds the calls in pieces of a text.

    What does not begin as a call does stays text, tags and all. White space beside calls is nobody's.

    Args:
        most: how many calls are looked for; what comes after is text.
        whole: tell a call only once all of it is there and is right, so that one that is broken off or broken stays
            text; else its arguments are told as they come, and are what the model wrote, right or not.
    """

    def __init__(self, *, most: int | None = None, whole: bool = False) -> None:
        self._most = most
        self._whole = whole
        self._rest = ""
        self._gap = ""  # white space before the call that is being read
        self._object = _Object()
        self._read: Callable[[list[Piece]], bool] = self._read_text
        self.count = 0

    def feed(self, text: str) -> list[Piece]:
        self._rest += text
        pieces: list[Piece] = []
        while self._read(pieces):
            pass
        return pieces

    def close(self) -> list[Piece]:
        """What is left when the text ends."""
        if self._read == self._read_call:
            text = self._gap + OPEN + self._rest
            self._rest, self._read = "", self._read_text
            return [Said(text)]
        if self._read == self._read_broken and self._rest:
            return [Arguments(self.count - 1, self._rest)]
        if self._read == self._read_text and self._rest and not (self.count and not self._rest.strip()):
            return [Said(self._rest)]
        return []

    def _read_text(self, pieces: list[Piece]) -> bool:
        is_looking = self._most is None or self.count < self._most
        place = self._rest.find(OPEN) if is_looking else -1
        kept = place if place >= 0 else len(self._rest) - (_begun(self._rest, OPEN) if is_looking else 0)
        text = self._rest[:kept].rstrip()
        if text:
            pieces.append(Said(text))
        if place < 0:
            self._rest = self._rest[len(text) :]
            return False
        self._gap = self._rest[len(text) : place]
        self._rest = self._rest[place + len(OPEN) :]
        self._object, self._read = _Object(), self._read_call
        return True

    def _read_call(self, pieces: list[Piece]) -> bool:
        head = None if self._whole else _HEAD.match(self._rest[:_LONGEST_HEAD])
        if head is not None:
            name = _text_of(head[1])
            if name:
                self._begin(name, pieces)
                self._rest = self._rest[head.end() :]
                self._object, self._read = _Object(), self._read_arguments
                return True
        end = self._object.end_in(self._rest)
        call = _call_of(self._rest[:end]) if end is not None else None
        if call is not None:
            self._begin(call[0], pieces)
            pieces.append(Arguments(self.count - 1, call[1]))
            self._rest, self._read = self._rest[end:], self._read_end
            return True
        if end is None and not self._object.is_broken:
            return False
        pieces.append(Said(self._gap + OPEN))
        self._read = self._read_text
        return True

    def _begin(self, name: str, pieces: list[Piece]) -> None:
        pieces.append(Called(self.count, name))
        self.count += 1

    def _read_arguments(self, pieces: list[Piece]) -> bool:
        end = self._object.end_in(self._rest)
        is_broken = self._object.is_broken
        kept = self._object.seen - is_broken
        if kept:
            pieces.append(Arguments(self.count - 1, self._rest[:kept]))
        self._rest = self._rest[kept:]
        self._object.seen = 0
        if is_broken:
            self._read = self._read_broken
        elif end is not None:
            self._object, self._read = _Object(open_already=True), self._read_behind
        return is_broken or end is not None

    def _read_broken(self, pieces: list[Piece]) -> bool:
        place = self._rest.find(CLOSE)
        kept = place if place >= 0 else len(self._rest) - _begun(self._rest, CLOSE)
        if kept:
            pieces.append(Arguments(self.count - 1, self._rest[:kept]))
        if place < 0:
            self._rest = self._rest[kept:]
            return False
        self._rest, self._read = self._rest[place + len(CLOSE) :], self._read_text
        return True

    def _read_behind(self, _pieces: list[Piece]) -> bool:
        """What the object has behind the arguments says nothing more about the call."""
        end = self._object.end_in(self._rest)
        if self._object.is_broken:
            self._read = self._read_end
            return True
        if end is None:
            return False
        self._rest, self._read = self._rest[end:], self._read_end
        return True

    def _read_end(self, _pieces: list[Piece]) -> bool:
        text = self._rest.lstrip()
        if text.startswith(CLOSE):
            self._rest = text[len(CLOSE) :]
        elif CLOSE.startswith(text):
            return False
        self._read = self._read_text
        return True


def calls_in(text: str, *, most: int | None = None) -> tuple[str, list[tuple[str, str]]]:
    """The text of a whole answer without its calls, and each call's name and arguments."""
    finder = ToolCalls(most=most, whole=True)
    pieces = [*finder.feed(text), *finder.close()]
    said = "".join(piece.text for piece in pieces if isinstance(piece, Said))
    names = [piece.name for piece in pieces if isinstance(piece, Called)]
    arguments = [piece.text for piece in pieces if isinstance(piece, Arguments)]
    return said, list(zip(names, arguments, strict=True))


class _Object:
    """Finds where a JSON object ends, in a text that grows."""

    def __init__(self, *, open_already: bool = False) -> None:
        self.seen = 0
        self.is_broken = False
        self._closers = ["}"] if open_already else []
        self._has_begun = open_already
        self._in_string = self._escaped = False

    def end_in(self, text: str) -> int | None:
        """The place behind it in `text`, of which the first `seen` characters were read before."""
        while self.seen < len(text) and not self.is_broken:
            self._take(text[self.seen])
            self.seen += 1
            if self._has_begun and not self._closers:
                return self.seen
        return None

    def _take(self, char: str) -> None:
        if self._in_string:
            if self._escaped:
                self._escaped = False
            elif char == "\\":
                self._escaped = True
            elif char == '"':
                self._in_string = False
        elif not self._has_begun and char != "{":
            self.is_broken = not char.isspace()
        elif char in _CLOSERS:
            self._has_begun = True
            self._closers.append(_CLOSERS[char])
        elif char in "}]":
            self.is_broken = self._closers.pop() != char
        elif char == '"':
            self._in_string = True
        else:
            self.is_broken = char not in _BARE


def _begun(text: str, tag: str) -> int:
    """How many of the last characters of `text` may be the beginning of `tag`."""
    for length in range(min(len(tag) - 1, len(text)), 0, -1):
        if text.endswith(tag[:length]):
            return length
    return 0


def _text_of(literal: str) -> str | None:
    try:
        text = json.loads(literal)
    except ValueError:
        return None
    assert isinstance(text, str), "a string literal is a string"
    return text


def _call_of(text: str) -> tuple[str, str] | None:
    """Name and arguments of a call; the arguments as they are written, where they stand in the usual place."""
    try:
        call = json.loads(text)
    except ValueError:
        return None
    name, arguments = call.get("name"), call.get("arguments", call.get("parameters", {}))
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        return None
    head = _HEAD.match(text)
    if head is None:
        return name, json.dumps(arguments, ensure_ascii=False)
    return name, text[head.end() : json.JSONDecoder().raw_decode(text, head.end())[1]]
