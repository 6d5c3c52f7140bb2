"""Markdown: its source as it stands, without the front matter that site generators put before it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wenlu.corpus.reading import read_text
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import FileKind, Read, SourceFile, SourceSpec
from wenlu.corpus.sources.text import whole_file

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?:.*\n)*?(?:---|\.\.\.)[ \t]*(?:\n|\Z)")


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    text = read_text(file.path, spec.encoding, spec.max_record_bytes)
    if text is None:
        yield Drop(Record("", file.id), "source", "record too large")
        return
    head = _FRONT_MATTER.match(text)
    body = text[head.end() :] if head else text
    if spec.by == "file":
        yield Record(body.strip("\n"), file.id)
        return
    first = 1 + text.count("\n", 0, len(text) - len(body))
    parting = "\n" if spec.by == "line" else r"\n[ \t]*\n"
    at = 0
    for part in [*re.finditer(parting, body), None]:
        piece = body[at : part.start() if part else len(body)]
        start = at + len(piece) - len(piece.lstrip())
        if piece.strip():
            yield Record(piece.strip(), f"{file.id}:{first + body.count(chr(10), 0, start)}")
        at = part.end() if part else len(body)


KIND = FileKind("markdown", (".md", ".markdown"), _read, one_record=whole_file)
