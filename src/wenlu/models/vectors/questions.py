"""What word vectors are asked, apart from their neighbours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WordPair:
    """Two words and how alike people find them; any scale, for only the order counts."""

    first: str
    second: str
    gold: float


@dataclass(frozen=True)
class Analogy:
    """`a` is to `b` as `c` is to `expected`, in a section of questions of one kind."""

    a: str
    b: str
    c: str
    expected: str
    section: str = ""
