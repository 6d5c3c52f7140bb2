"""Whole answers, put together from what the engine tells step by step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

from wenlu.server.messages import Delta, Event, Finish, Started, TokenInfo


@dataclass
class Written:
    """One answer."""

    text: str = ""
    tokens: list[TokenInfo] = field(default_factory=list)
    count: int = 0
    finish: Finish = "length"
    stopped_by: str | None = None
    deadline: bool = False

    def take(self, delta: Delta) -> None:
        self.text += delta.text
        self.tokens += delta.tokens
        self.count += delta.count
        self.deadline |= delta.deadline
        if delta.finish is not None:
            self.finish, self.stopped_by = delta.finish, delta.stopped_by


@dataclass(frozen=True)
class Whole:
    """All answers to a prompt, and what was told of the prompt."""

    started: Started
    answers: list[Written]

    @property
    def count(self) -> int:
        """Tokens that were written."""
        return sum(answer.count for answer in self.answers)

    @property
    def was_cut(self) -> bool:
        """Whether the deadline ended any of them."""
        return any(answer.deadline for answer in self.answers)


async def whole(events: AsyncIterator[Event], n: int) -> Whole:
    """What `events` come to; raises ApiError as they do."""
    started, answers = None, [Written() for _ in range(n)]
    async with aclosing(events):  # type: ignore[type-var]
        async for event in events:
            match event:
                case Started():
                    started = event
                case Delta():
                    answers[event.choice].take(event)
    assert started is not None, "an engine says that it has begun before it ends"
    return Whole(started, answers)
