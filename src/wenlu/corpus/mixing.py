"""Interleave several sources by weight, in an order that is a pure function of the seed."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterable, Iterator, Sequence

from wenlu.corpus.record import Item, Record


def mix(sources: Sequence[Iterable[Item]], weights: Sequence[float], seed: int) -> Iterator[Item]:
    """Draw each next record from a source chosen with probability proportional to its weight.

    A source that is exhausted leaves, and the rest go on with their weights; so all records come out, and the
    proportion holds until the first source ends. Drops come with the record that follows them in their source.
    """
    if len(sources) != len(weights):
        raise ValueError(f"{len(sources)} sources but {len(weights)} weights")
    iterators = [iter(source) for source in sources]
    active = list(range(len(iterators)))
    draw = random.Random(f"wenlu mix {seed}")
    while active:
        chosen = draw.choices(active, [weights[i] for i in active])[0] if len(active) > 1 else active[0]
        if not (yield from _up_to_record(iterators[chosen])):
            active.remove(chosen)


def _up_to_record(items: Iterator[Item]) -> Generator[Item, None, bool]:
    """Pass items on, up to and including the next record; returns whether there was one."""
    for item in items:
        yield item
        if isinstance(item, Record):
            return True
    return False
