"""A conversation of which the assistant's turns are learnt, or the next one is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from wenlu.corpus.chats import Turn


@dataclass(frozen=True)
class Chat:
    """Turns that are told.

    Attributes:
        asked: the place of the turn that a model is asked for; one behind the last where that is not said.
    """

    turns: tuple[Turn, ...]
    asked: int
    id: str = ""

    @classmethod
    def of(cls, turns: Sequence[Turn], id: str = "") -> Self:
        """Asked for the last turn where the assistant has it, else for the next one."""
        return cls(tuple(turns), len(turns) - (turns[-1].role == "assistant"), id)

    @property
    def replies(self) -> tuple[int, ...]:
        """The places of the assistant's turns."""
        return tuple(place for place, turn in enumerate(self.turns) if turn.role == "assistant")

    @property
    def history(self) -> tuple[Turn, ...]:
        """What stands before the turn that is asked for."""
        return self.turns[: self.asked]

    @property
    def reply(self) -> str | None:
        """What was said there; None where nobody has yet."""
        return self.turns[self.asked].content if self.asked < len(self.turns) else None

    def asked_at(self, place: int) -> Self:
        """The same conversation, asked for another of the assistant's turns."""
        return replace(self, asked=place)
