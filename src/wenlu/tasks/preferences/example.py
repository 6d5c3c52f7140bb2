"""An example of a preference: a prompt, and two answers of which the first is liked better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from wenlu.corpus.chats import Turn
from wenlu.corpus.pairs import Columns, pair
from wenlu.corpus.record import Record
from wenlu.errors import DataError


@dataclass(frozen=True)
class Preferred:
    """Attributes:
    prompt: turns, the last of which asks.
    """

    prompt: tuple[Turn, ...]
    chosen: str
    rejected: str
    id: str = ""

    @property
    def answers(self) -> tuple[str, str]:
        return self.chosen, self.rejected

    def turns(self, answer: str) -> Sequence[Turn]:
        """The conversation that ends in an answer."""
        return (*self.prompt, Turn("assistant", answer))


def preferred_of(record: Record, columns: Columns) -> Preferred:
    """Raises DataError."""
    try:
        found = pair(record.meta, columns)
    except DataError as error:
        raise DataError(f"{record.id}: {error}") from error
    prompt = tuple(replace(turn, content=turn.content.strip()) for turn in found.prompt)
    return Preferred(prompt, found.chosen, found.rejected, record.id)
