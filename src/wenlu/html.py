"""HTML that escapes by construction: only what `element` made is markup, any other text is text."""

from __future__ import annotations

import re
from html import escape

VOID = {"meta", "br"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_DIRECTION = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Html(str):
    """Finished markup."""

    __slots__ = ()


Content = str | None
"""`Html`, text to be escaped, or nothing."""


def element(name: str, /, *children: Content, **attributes: str | float | None) -> Html:
    """An element; `class_` and `for_` lose their underscore, others become hyphens; None leaves an attribute out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(plain(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*parts: Content) -> Html:
    """The parts one after the other."""
    return Html("".join(part if isinstance(part, Html) else escape(plain(part)) for part in parts if part is not None))


def table(header: list[str], rows: list[list[Content]], *, numeric: frozenset[int] = frozenset()) -> Html:
    """A table that scrolls inside itself where it is wider than the page; `numeric` columns are right-aligned."""

    def cell(name: str, column: int, content: Content) -> Html:
        return element(name, content, class_="number" if column in numeric else None)

    head = element("tr", *(cell("th", column, content) for column, content in enumerate(header)))
    body = [element("tr", *(cell("td", column, content) for column, content in enumerate(row))) for row in rows]
    inner = element("table", element("thead", head), element("tbody", *body))
    return element("div", inner, class_="scroll", tabindex="0", role="group")


def plain(text: str) -> str:
    """Text as HTML can hold it: control characters and marks that reverse the writing direction become visible."""
    text = _CONTROL.sub(lambda match: chr(0x2400 + ord(match.group())) if match.group() != "\x7f" else "\u2421", text)
    text = _DIRECTION.sub(lambda match: f"[U+{ord(match.group()):04X}]", text)
    return text.encode("utf-8", "replace").decode("utf-8")
