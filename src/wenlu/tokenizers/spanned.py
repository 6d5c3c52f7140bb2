"""Which characters of a text each of its tokens is of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Span = tuple[int, int]
"""The first character, and the one behind the last."""


@dataclass(frozen=True)
class Spanned:
    """Tokens of a text.

    Attributes:
        spans: one a token, without the whitespace that the token may begin or end with; start = end where nothing
            else is there. Tokens that share a character (bytes of an emoji) have its span each.
    """

    ids: list[int]
    spans: list[Span]

    def moved(self, by: int) -> Spanned:
        """The same tokens in a text that has so many characters before this one."""
        return Spanned(self.ids, [(start + by, end + by) for start, end in self.spans]) if by else self


def joined(parts: Iterable[Spanned]) -> Spanned:
    """The tokens of all parts, whose spans are of the same text already."""
    whole = Spanned([], [])
    for part in parts:
        whole.ids.extend(part.ids)
        whole.spans.extend(part.spans)
    return whole


def without_spaces(text: str, span: Span) -> Span:
    """`span` of `text` without the whitespace at its ends."""
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
