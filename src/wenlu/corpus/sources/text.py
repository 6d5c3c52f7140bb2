"""Plain text: a file, a line or a paragraph a record."""

from __future__ import annotations

from collections.abc import Iterator

from wenlu.corpus.reading import decode, line_encoding, lines, open_text_bytes, read_text
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import Bad, FileKind, Read, SourceFile, SourceSpec


def whole_file(spec: SourceSpec) -> bool:
    return spec.by == "file"


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    match spec.by:
        case "file":
            text = read_text(file.path, spec.encoding, spec.max_record_bytes)
            yield Record(text, file.id) if text is not None else Drop(Record("", file.id), "source", "record too large")
        case "line":
            for item in _lines(file, spec):
                if not isinstance(item, Record) or item.text:
                    yield item
        case "paragraph":
            yield from _paragraphs(_lines(file, spec), spec.max_record_bytes)


def _lines(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    """Each line without its end, blank ones as empty text."""
    encoding = line_encoding(spec.encoding)
    with open_text_bytes(file.path, spec.encoding) as stream:
        for line in lines(stream, spec.max_record_bytes):
            id = f"{file.id}:{line.number}"
            if line.data is None:
                yield Drop(Record("", id), "source", "record too large")
            elif b"\0" in line.data:
                yield Bad(id, "NUL byte", f"a NUL byte at byte {line.offset + line.data.index(0)}; is it text?")
            else:
                text = decode(line.data, encoding, path=file.path, line=line.number, offset=line.offset)
                yield Record(text.strip(), id)


def _paragraphs(line_items: Iterator[Read], max_bytes: int) -> Iterator[Read]:
    """Join lines up to the next blank one; the id is that of the first line."""
    held: list[str] = []
    id, size = "", 0
    for item in line_items:
        if not isinstance(item, Record):
            yield item
            continue
        if item.text:
            id = id or item.id
            size += len(item.text.encode()) + 1
            if size <= max_bytes:
                held.append(item.text)
            continue
        if id:
            yield _joined(held, id, size, max_bytes)
        held, id, size = [], "", 0
    if id:
        yield _joined(held, id, size, max_bytes)


def _joined(held: list[str], id: str, size: int, max_bytes: int) -> Read:
    if size > max_bytes:
        return Drop(Record("", id), "source", "record too large")
    return Record("\n".join(held), id)


KIND = FileKind("text", (".txt", ".text"), _read, one_record=whole_file)
