"""Pictures, a file each: the caption of an SVG is its own title, if it has one, that of others their name in words.

What a file is goes by its content: `kind = "pictures"` reads each file of a folder, and drops those that are none.
Captions in a table need no kind of their own: read the table, and name its column of paths in `image`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from xml.etree import ElementTree

from wenlu.corpus.pictures.format import READ, format_of
from wenlu.corpus.pictures.picture import PictureLimits
from wenlu.corpus.pictures.reference import PICTURE
from wenlu.corpus.reading import reading
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import FileKind, Read, SourceFile, SourceSpec
from wenlu.errors import DataError

_HEAD = 1 << 16
_MOST = PictureLimits().max_bytes
_DC = "{http://purl.org/dc/elements/1.1/}"
_TITLE = "{http://www.w3.org/2000/svg}title"
_COLUMNS = ("name", "folder", "format", "keywords", "description", "artist", "language")


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    unknown = sorted(set(spec.meta) - set(_COLUMNS))
    if unknown:
        raise DataError(f"{file.path}: of a picture, meta can keep {', '.join(_COLUMNS)}; not {unknown[0]!r}")
    with reading(file.path), file.path.open("rb") as stream:
        head = stream.read(_HEAD)
        form = format_of(head)
        drawing = head + stream.read(_MOST - len(head)) if form == "SVG" else b""
    if form not in READ:
        yield Drop(Record("", file.id), "source", "not a picture that is read")
        return
    name = _in_words(file.relative.stem)
    told = _told(drawing) if drawing else {}
    told |= {"name": name, "folder": _folder(file), "format": form}
    meta = {column: told[column] for column in spec.meta if told.get(column)}
    yield Record(told.get("title") or name, file.id, {**meta, PICTURE: file.path.name})


def _folder(file: SourceFile) -> str:
    parent = file.relative.parent
    return "" if parent == PurePosixPath(".") else str(parent)


def _in_words(stem: str) -> str:
    return " ".join(re.split(r"[\s_+-]+", stem)).strip()


def _told(drawing: bytes) -> dict[str, str]:
    """What an SVG says of itself in Dublin Core, or in its title; nothing where its XML is malformed."""
    try:
        root = ElementTree.fromstring(drawing)
    except (ElementTree.ParseError, ValueError, LookupError):  # it will be refused when it is drawn
        return {}
    work = next((element for element in root.iter() if element.tag.endswith("}Work")), root)
    title = _text(work.find(f"{_DC}title")) or _text(root.find(_TITLE))
    keywords = [_text(item) for item in work.iterfind(f"{_DC}subject/*/*")]
    creator = work.find(f"{_DC}creator")
    told = {
        "title": title,
        "keywords": ", ".join(dict.fromkeys(word for word in keywords if word)),
        "description": _text(work.find(f"{_DC}description")),
        "artist": "" if creator is None else " ".join(" ".join(creator.itertext()).split()),
        "language": _text(work.find(f"{_DC}language")),
    }
    return {key: value for key, value in told.items() if value}


def _text(element: ElementTree.Element | None) -> str:
    return "" if element is None else " ".join((element.text or "").split())


def _one(spec: SourceSpec) -> bool:  # noqa: ARG001 (a picture is a record under any settings)
    return True


KIND = FileKind("pictures", (), _read, columnar=True, shows=True, one_record=_one)
