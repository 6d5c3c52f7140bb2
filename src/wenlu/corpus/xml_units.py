"""XML of any size, unit by unit, in memory bounded by the largest of them; nothing in it is expanded or fetched.

A document type that declares entities is refused: none of the formats read here needs one, and they are how a small
file becomes a huge one, or names other files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from wenlu.corpus.reading import open_bytes
from wenlu.corpus.source import SourceFile, SourceSpec
from wenlu.errors import DataError, MissingExtra

_PIECE = 1 << 14


def units(file: SourceFile, spec: SourceSpec, *, root: str, unit: Collection[str]) -> Iterator[tuple[Any, int]]:
    """Each element that bears one of the names of `unit`, with its line; its ancestors are there, its siblings gone.

    Names are without namespace. The encoding is the one that the file declares, UTF-8 where it declares none.

    Raises:
        DataError: malformed, not of this format, with entities, or a unit over `max_record_bytes`.
    """
    try:
        from lxml import etree
    except ImportError as error:
        raise MissingExtra("lxml", extra="tasks", purpose="read TMX and XLIFF files") from error
    # collect_ids=False would save memory, but makes libxml2 load the document type from wherever it says that it is.
    parser = etree.XMLPullParser(
        events=("start", "end"),
        tag=["{*}*"],
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
    )
    checked, size, line = False, 0, 1
    failure: etree.XMLSyntaxError | None = None
    with open_bytes(file.path) as stream:
        while True:
            piece = stream.read(_PIECE)
            size += len(piece)
            try:
                if piece:
                    parser.feed(piece)
                else:
                    parser.close()
            except etree.XMLSyntaxError as error:
                failure = error
            for event, element in parser.read_events():
                line = element.sourceline or line
                if not checked:
                    _check_head(element, file, root)
                    checked = True
                if event == "end" and local_name(element) in unit:
                    yield element, line
                    _forget(element)
                    size = 0
            if failure is not None:
                raise DataError(_malformed(file, failure, line)) from failure
            if not piece:
                return
            if size > spec.max_record_bytes + _PIECE:
                raise DataError(
                    f"{file.path}: more than max_record_bytes = {spec.max_record_bytes} before the end of a "
                    f"<{next(iter(unit))}>; raise it, or is this a {root.upper()} file?"
                )


def local_name(element: Any) -> str:
    """The element's name without its namespace; "" for a comment, a processing instruction or an entity."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def attribute(element: Any, *names: str) -> str | None:
    """The first attribute that is there of these names, which are without namespace but for `xml:lang`."""
    spelled = (name.replace("xml:", "{http://www.w3.org/XML/1998/namespace}") for name in names)
    return next((element.get(name) for name in spelled if element.get(name) is not None), None)


def plain_text(element: Any, *, codes: Collection[str]) -> str:
    """The text in the element and those within it, without the ones that hold codes of another format.

    Raises ValueError where an entity stands in it that nothing declares.
    """
    parts: list[str] = []
    waiting = [element]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            parts.append(item)
            continue
        inner = [item.text or ""]
        for child in item:
            if getattr(child, "name", None) is not None:
                raise ValueError(f"the entity &{child.name}; is not declared")
            if local_name(child) and local_name(child) not in codes:
                inner.append(child)
            inner.append(child.tail or "")
        waiting += reversed(inner)
    return "".join(parts)


def _check_head(element: Any, file: SourceFile, root: str) -> None:
    document = element.getroottree()
    found = local_name(document.getroot())
    if found != root:
        raise DataError(f"{file.path}: its outermost element is <{found}>, not <{root}>; is it a {root.upper()} file?")
    kinds = document.docinfo.internalDTD
    declared = [entity.name for entity in kinds.iterentities()] if kinds is not None else []
    if declared:
        raise DataError(
            f"{file.path}: declares the entity {declared[0]!r}, and files with entities are refused, as they can name "
            "other files or grow without bound; take the declarations out of its DOCTYPE"
        )


def _forget(element: Any) -> None:
    """Let go of the element's content and of all that came before it."""
    element.clear(keep_tail=False)
    while (parent := element.getparent()) is not None:
        while element.getprevious() is not None:
            del parent[0]
        element = parent


def _malformed(file: SourceFile, error: Any, line: int) -> str:
    """`line` is that of the last element that could be read."""
    if not error.lineno:  # the parser has stopped at an entity, of which it says nothing
        return f"{file.path}, after line {line}: malformed XML: cut off, or with an entity that is not declared"
    said = str(error.msg).partition("\n")[0].rpartition(f", line {error.lineno}")[0] or str(error.msg)
    return f"{file.path}, line {error.lineno}: malformed XML: {said.rstrip('.')}. Is the file whole?"
