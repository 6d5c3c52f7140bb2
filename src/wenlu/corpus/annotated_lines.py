"""Sentences of annotated text files: a line a token, an empty line between sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wenlu.corpus.reading import decode, line_encoding, lines, open_text_bytes
from wenlu.corpus.source import Bad, SourceFile, SourceSpec

_MOST_LINES = 100_000
"""Of one sentence; a short line takes more memory than its bytes."""

Numbered = tuple[int, str]
"""A line's number, counted from 1, and the line without its end."""


@dataclass(frozen=True, slots=True)
class Block:
    """The lines between two empty ones, none of them empty."""

    lines: tuple[Numbered, ...]

    @property
    def first(self) -> int:
        return self.lines[0][0]


def blocks(file: SourceFile, spec: SourceSpec) -> Iterator[Block | Bad]:
    """The file's sentences in their order; one that is too large or holds a NUL byte is bad, and is never held."""
    held: list[Numbered] = []
    bad: Bad | None = None
    size = 0
    for item in numbered_lines(file, spec):
        match item:
            case Bad():
                bad = bad or item
            case (_, "") if bad or held:
                yield bad or Block(tuple(held))
                held, bad, size = [], None, 0
            case (number, line) if line:
                size += len(line.encode()) + 1
                if size > spec.max_record_bytes or len(held) == _MOST_LINES:
                    bad = bad or _too_large(file, held[0][0] if held else number, spec)
                if bad:
                    held = []
                else:
                    held.append((number, line))
    if bad or held:
        yield bad or Block(tuple(held))


def numbered_lines(file: SourceFile, spec: SourceSpec) -> Iterator[Numbered | Bad]:
    """Each line without its end; "" for one of nothing but blanks, though not for other white space, which may be a
    token."""
    encoding = line_encoding(spec.encoding)
    with open_text_bytes(file.path, spec.encoding) as stream:
        for line in lines(stream, spec.max_record_bytes):
            if line.data is None:
                yield _too_large(file, line.number, spec)
            elif b"\0" in line.data:
                at = line.offset + line.data.index(0)
                yield Bad(f"{file.id}:{line.number}", "NUL byte", f"a NUL byte at byte {at}; is it text?")
            else:
                text = decode(line.data, encoding, path=file.path, line=line.number, offset=line.offset)
                text = text.rstrip("\r\n")
                yield line.number, text if text.strip(" \t") else ""


def _too_large(file: SourceFile, line: int, spec: SourceSpec) -> Bad:
    return Bad(
        f"{file.id}:{line}",
        "record too large",
        f"a sentence over max_record_bytes = {spec.max_record_bytes}, or {_MOST_LINES:,} lines",
    )
