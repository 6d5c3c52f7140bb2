"""What the HTTP process needs of an engine, wherever it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from wenlu.server.messages import Asking, Event, Generate, ModelInfo, Reply, Stats


class EngineGone(Exception):
    """The engine's process has ended; what it was asked is lost, and it starts again."""


class EngineLink(Protocol):
    """An engine that may come and go; a request number is one at a time."""

    @property
    def is_ready(self) -> bool:
        """Whether it answers now."""

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """What it serves; also while it starts again, as it was."""

    @property
    def stats(self) -> Stats | None:
        """What it told last."""

    @property
    def restarts(self) -> int:
        """How often it broke and was started again."""

    async def start(self) -> None:
        """Start it; returns once it is ready, raises a WenluError where its models cannot be served."""

    async def close(self) -> None:
        """End it, whatever it does."""

    def next_id(self) -> int:
        """A number for a request."""

    def generate(self, request: Generate) -> AsyncIterator[Event]:
        """`Started`, then `Delta`s of all choices as they come, then `Done`; or `Failed` anywhere.

        Closing the iterator cancels the request at once. Raises EngineGone.
        """

    async def ask(self, request: Asking) -> Reply:
        """The one reply, perhaps `Failed`; cancelling the task cancels the request. Raises EngineGone."""
