"""Longest common subsequences, a row of the table in one integer.

Hyyrö 2004, Bit-parallel LCS-length computation revisited: a bit of a row is 0 where the table grows by one to the
right, so the table's entry is a count of zeros. Python's integers are as long as the texts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence


def lcs_length(a: Sequence[str], b: Sequence[str]) -> int:
    return len(b) - _rows(a, b)[-1].bit_count()


def lcs_places(a: Sequence[str], b: Sequence[str]) -> list[int]:
    """Places in `a` of one longest common subsequence, last first.

    Of several it takes the one that rouge-score finds: from the ends backwards, equal items are matched at once, and
    where both ways are as long, an item of `a` is left out.
    """
    rows = _rows(a, b)

    def length(i: int, j: int) -> int:  # of the first i of `a` and the first j of `b`
        return j - (rows[i] & ((1 << j) - 1)).bit_count()

    places = []
    i, j = len(a), len(b)
    while i and j:
        if a[i - 1] == b[j - 1]:
            i, j = i - 1, j - 1
            places.append(i)
        elif length(i, j - 1) > length(i - 1, j):
            j -= 1
        else:
            i -= 1
    return places


def _rows(a: Sequence[str], b: Sequence[str]) -> list[int]:
    """Row i belongs to the first i items of `a`."""
    every = (1 << len(b)) - 1
    where: dict[str, int] = defaultdict(int)
    for j, item in enumerate(b):
        where[item] |= 1 << j
    rows = [every]
    for item in a:
        row = rows[-1]
        hits = row & where[item]
        rows.append(((row + hits) | (row - hits)) & every)
    return rows
