"""Edit distance: the fewest insertions, deletions and substitutions that turn one sequence into another.

Myers 1999, A fast bit-vector algorithm for approximate string matching, in the form of Hyyrö 2003, A bit-vector
algorithm for computing Levenshtein and Damerau edit distances: a column of the table is two integers that say where
it steps up and where down. Python's integers are as long as the texts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    if not a:
        return len(b)
    every, last = (1 << len(a)) - 1, 1 << (len(a) - 1)
    where: dict[str, int] = defaultdict(int)
    for i, item in enumerate(a):
        where[item] |= 1 << i
    up, down, distance = every, 0, len(a)  # against nothing, each item of `a` is one edit more
    for item in b:
        hits = where[item]
        diagonal = (((hits & up) + up) ^ up) | hits | down
        right_up = down | ~(diagonal | up) & every
        right_down = up & diagonal
        distance += bool(right_up & last) - bool(right_down & last)
        right_up = (right_up << 1 | 1) & every
        right_down = (right_down << 1) & every
        up = right_down | ~(diagonal | right_up) & every
        down = right_up & diagonal
    return distance
