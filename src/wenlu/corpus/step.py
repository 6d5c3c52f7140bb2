"""What a step is: its name, its settings, how it is built, and how a list of steps runs over a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from wenlu.config import Config
from wenlu.corpus.parallel import Patience, map_ordered
from wenlu.corpus.record import Drop, Item, Record, Step

_CHUNK_RECORDS = 256
_CHUNK_CHARACTERS = 2**19


class StepConfig(Config):
    """Settings of a step; `step` is its name."""

    step: str


@dataclass(frozen=True)
class Workroom:
    """Where steps put temporary files (None: the system's folder), how many processes they may use, and how long each
    of these may take."""

    folder: Path | None = None
    workers: int = 1
    patience: Patience | None = None


@dataclass(frozen=True)
class StepKind:
    """A kind of step: `build(settings, workroom)` makes the step itself.

    Attributes:
        changes_text: whether characters of a record that is kept may stand elsewhere afterwards.
    """

    name: str
    config: type[StepConfig]
    build: Callable[[Any, Workroom], Step]
    changes_text: bool = False


@dataclass(frozen=True)
class RecordStep:
    """A step that looks at one record at a time, so that several processes can share the work."""

    name: str
    change: Callable[[Record], Item]

    def __call__(self, items: Iterable[Item]) -> Iterator[Item]:
        return map(self.apply, items)

    def apply(self, item: Item) -> Item:
        if isinstance(item, Drop):
            return item
        try:
            return self.change(item)
        except Exception as error:
            error.add_note(f"in step {self.name}, at record {item.id}")
            raise


@dataclass(frozen=True)
class Chain:
    """Consecutive record steps as one, over a chunk of items."""

    steps: tuple[RecordStep, ...]

    def __call__(self, chunk: Sequence[Item]) -> list[Item]:
        items: Iterable[Item] = chunk
        for step in self.steps:
            items = step(items)
        return list(items)


def run_steps(
    steps: Sequence[Step], items: Iterable[Item], workers: int = 1, patience: Patience | None = None
) -> Iterator[Item]:
    """The items after all steps; neighbouring record steps run together in the workers, in order."""
    for by_record, group in groupby(steps, lambda step: isinstance(step, RecordStep)):
        if by_record:
            chain = Chain(tuple(step for step in group if isinstance(step, RecordStep)))
            items = _in_workers(chain, items, workers, patience)
        else:
            for step in group:
                items = step(items)
    return iter(items)


def chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Consecutive items, so many that handing them over is little beside working on them."""
    chunk: list[Item] = []
    characters = 0
    for item in items:
        chunk.append(item)
        characters += len(item.text if isinstance(item, Record) else item.record.text)
        if len(chunk) == _CHUNK_RECORDS or characters >= _CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _in_workers(step: Chain, items: Iterable[Item], workers: int, patience: Patience | None) -> Iterator[Item]:
    for chunk in map_ordered(step, chunks(items), workers=workers, patience=patience, name=_range):
        yield from chunk


def _range(chunk: Sequence[Item]) -> str:
    first, last = (item.id if isinstance(item, Record) else item.record.id for item in (chunk[0], chunk[-1]))
    return f"the {len(chunk)} records from {first} to {last}"
