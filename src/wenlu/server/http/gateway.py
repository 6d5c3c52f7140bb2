"""What a dialect may do: ask the engine in a caller's name, within what that one may ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from wenlu.server.messages import Ability, Asking, Event, Generate, ModelInfo, Reply
from wenlu.server.settings import Limits


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        key: the id of the key, never the key; "" where none is needed.
        scopes: "infer", "admin".
        request: the id of this request, that the answer's `x-request-id` and the log carry.
    """

    key: str
    scopes: frozenset[str]
    request: str

    @property
    def salt(self) -> str:
        """Keeps what one key's prompts left in the prefix cache from being felt by another."""
        return self.key


class Gateway(Protocol):
    """The engine behind admission, deadlines and counts."""

    limits: Limits

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """What is served."""

    def model(self, name: object, ability: Ability | None = None) -> ModelInfo:
        """The model of that name; raises ApiError: 404 `model_not_found` with the names that there are, or 400 where
        it cannot do that, with those that can."""

    def next_id(self) -> int:
        """A number for a request."""

    def generate(self, caller: Caller, request: Generate) -> AsyncIterator[Event]:
        """As `EngineLink.generate`, without `Failed`: every failure is an ApiError, so is a refusal, which comes before
        the first event. Closing the iterator gives the place back at once."""

    async def ask(self, caller: Caller, request: Asking) -> Reply:
        """As `EngineLink.ask`, without `Failed`: raises ApiError."""
