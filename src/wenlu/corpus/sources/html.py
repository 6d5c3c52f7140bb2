"""Web pages: their main text, without menus, headers and advertisements.

trafilatura (Barbaresi 2021, https://aclanthology.org/2021.acl-demo.15) finds the main text. Where its rules find
little, it falls back, in this order, on jusText, on text that the page carries as metadata, on its paragraphs, and on
all of its body; a page that has no text by any of these is dropped.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from wenlu.corpus.reading import decode, open_bytes
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import FileKind, Read, SourceFile, SourceSpec
from wenlu.errors import DataError, MissingExtra

_DECLARED = re.compile(
    rb"""<meta[^>]+charset\s*=\s*["']?\s*([A-Za-z0-9_\-]+)|<\?xml[^>]+encoding=["']([A-Za-z0-9_\-]+)""", re.I
)


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    try:
        from trafilatura import extract
    except ImportError as error:
        raise MissingExtra("trafilatura", extra="data", purpose="read web pages") from error
    with open_bytes(file.path) as stream:
        data = stream.read(spec.max_record_bytes + 1)
    if len(data) > spec.max_record_bytes:
        yield Drop(Record("", file.id), "source", "record too large")
        return
    page = decode(data, _encoding(data, spec, file), path=file.path, line=1, offset=0)
    if "\0" in page:
        raise DataError(f"{file.path}: a NUL character in the page, so this is not HTML. Leave the file out")
    text = extract(page, include_comments=False)
    yield Record(text, file.id) if text else Drop(Record("", file.id), "source", "no text in the page")


def _encoding(data: bytes, spec: SourceSpec, file: SourceFile) -> str:
    """What the page declares, by byte order mark or in its head; else the `encoding` setting."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return name
    declared = _DECLARED.search(data[:2048])
    if declared is None:
        return spec.encoding
    name = (declared[1] or declared[2]).decode("ascii")
    try:
        codecs.lookup(name)
    except LookupError as error:
        raise DataError(
            f"{file.path}: declares the encoding {name!r}, which does not exist; correct its head"
        ) from error
    # Pages that declare GB2312 commonly use its superset, and browsers read them so.
    return "gb18030" if name.lower() in ("gb2312", "gbk") else name


def _one(spec: SourceSpec) -> bool:  # noqa: ARG001 (a page is a record under any settings)
    return True


KIND = FileKind("html", (".html", ".htm", ".xhtml"), _read, one_record=_one)
