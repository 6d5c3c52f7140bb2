"""Which writing system a text uses: decides what a word is, and which languages it can be."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

RANGES: dict[str, tuple[tuple[int, int], ...]] = {
    "Latin": (
        (0x41, 0x5A),
        (0x61, 0x7A),
        (0xC0, 0xD6),
        (0xD8, 0xF6),
        (0xF8, 0x24F),
        (0x1E00, 0x1EFF),
        (0xFF21, 0xFF5A),
    ),
    "Greek": ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
    "Cyrillic": ((0x400, 0x52F),),
    "Armenian": ((0x530, 0x58F),),
    "Hebrew": ((0x590, 0x5FF),),
    "Arabic": ((0x600, 0x6FF), (0x750, 0x77F), (0xFB50, 0xFDFF), (0xFE70, 0xFEFC)),
    "Devanagari": ((0x900, 0x97F),),
    "Bengali": ((0x980, 0x9FF),),
    "Gurmukhi": ((0xA00, 0xA7F),),
    "Gujarati": ((0xA80, 0xAFF),),
    "Oriya": ((0xB00, 0xB7F),),
    "Tamil": ((0xB80, 0xBFF),),
    "Telugu": ((0xC00, 0xC7F),),
    "Kannada": ((0xC80, 0xCFF),),
    "Malayalam": ((0xD00, 0xD7F),),
    "Sinhala": ((0xD80, 0xDFF),),
    "Thai": ((0xE00, 0xE7F),),
    "Lao": ((0xE80, 0xEFF),),
    "Tibetan": ((0xF00, 0xFFF),),
    "Myanmar": ((0x1000, 0x109F),),
    "Georgian": ((0x10A0, 0x10FF), (0x1C90, 0x1CBF)),
    "Ethiopic": ((0x1200, 0x137F),),
    "Khmer": ((0x1780, 0x17FF),),
    "Mongolian": ((0x1800, 0x18AF),),
    "Kana": ((0x3041, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F)),
    "Hangul": ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7A3)),
    "Han": (
        (0x2E80, 0x2FD5),
        (0x3005, 0x3007),
        (0x3400, 0x4DBF),
        (0x4E00, 0x9FFF),
        (0xF900, 0xFAFF),
        (0x20000, 0x323AF),
    ),
}
"""Unicode blocks (first and last code point) of the letters of each script."""

UNSPACED = ("Han", "Kana", "Thai", "Lao", "Tibetan", "Myanmar", "Khmer")
"""Scripts that put no space between words; a character stands for a word where words are counted."""


def letters_by_script(text: str) -> dict[str, int]:
    """How many letters of each script `text` has; scripts without any are left out."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    firsts, lasts, owners = _ranges()
    place = np.searchsorted(firsts, codes, side="right") - 1
    inside = (place >= 0) & (codes <= lasts[place])
    letters = inside & ((codes > 0x7F) | np.isin(codes | 0x20, np.arange(0x61, 0x7B)))
    counts = np.bincount(owners[place[letters]], minlength=len(RANGES))
    return {name: int(n) for name, n in zip(RANGES, counts, strict=True) if n}


def is_mostly_han(text: str) -> bool:
    """Whether at least half of the letters are Chinese characters, so that words are counted by character."""
    if text.isascii():
        return False
    counts = letters_by_script(text)
    return 2 * counts.get("Han", 0) >= sum(counts.values()) > 0


@cache
def _ranges() -> tuple[Array, Array, Array]:
    rows = sorted((first, last, owner) for owner, pairs in enumerate(RANGES.values()) for first, last in pairs)
    firsts, lasts, owners = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    return firsts, lasts, owners
