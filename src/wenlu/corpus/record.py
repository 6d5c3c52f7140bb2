"""What flows through the corpus: a record, or the reason why it was dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Record:
    """A text and where it came from.

    Attributes:
        id: path and position, unique in its source: `notes/a.jsonl:17`.
        meta: further columns as text: language, group, time, source, …
    """

    text: str
    id: str
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Drop:
    """A record that a source or step refused, with the reason in a few fixed words ("too short")."""

    record: Record
    step: str
    reason: str


Item = Record | Drop
Step = Callable[[Iterable[Item]], Iterator[Item]]
"""From iterator to iterator: a step passes the drops of earlier steps on untouched and in place."""
