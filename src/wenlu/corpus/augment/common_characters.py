"""The Chinese characters that people commonly write, simplified or traditional."""

from __future__ import annotations

from functools import cache

_GB_ROWS = range(0xB0, 0xD8)
_BIG5_ROWS, _BIG5_LAST = range(0xA4, 0xC7), b"\xc6\x7e"


@cache
def common_characters(*, traditional: bool) -> frozenset[str]:
    """The first level of GB 2312 (3,755 characters), or that of Big5 (5,401)."""
    rows, encoding = (_BIG5_ROWS, "big5") if traditional else (_GB_ROWS, "gb2312")
    cells = (*range(0x40, 0x7F), *range(0xA1, 0xFF)) if traditional else range(0xA1, 0xFF)
    codes = (bytes((row, cell)) for row in rows for cell in cells)
    found = (code.decode(encoding, "ignore") for code in codes if not traditional or code <= _BIG5_LAST)
    return frozenset(character for character in found if character)


def is_traditional(text: str) -> bool:
    """Whether more of the characters are of Big5 alone than of GB 2312 alone."""
    only_big5 = sum(_has(character, "big5") and not _has(character, "gb2312") for character in text)
    only_gb = sum(_has(character, "gb2312") and not _has(character, "big5") for character in text)
    return only_big5 > only_gb


@cache
def _has(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
