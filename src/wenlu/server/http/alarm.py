"""One deadline for many waits: `asyncio.timeout` around each token of a stream costs as much as the token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")


class Alarm:
    """`with Alarm(at) as alarm: await alarm.wait(begin)`, again and again.

    Raises TimeoutError in what waits once the loop's clock reads `at`, and in what would wait later; between two waits
    it disturbs nobody.
    """

    def __init__(self, at: float) -> None:
        self._at = at
        self._rang = False
        self._waiting: asyncio.Task[object] | None = None

    def __enter__(self) -> Self:
        self._handle = asyncio.get_running_loop().call_at(self._at, self._ring)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()

    def has_rung(self) -> bool:
        return self._rang

    async def wait(self, begin: Callable[[], Awaitable[T]]) -> T:
        if self.has_rung():
            raise TimeoutError
        task = asyncio.current_task()
        assert task is not None, "awaited in a task"
        cancelled_before = task.cancelling()
        self._waiting = task
        try:
            return await begin()
        except asyncio.CancelledError as error:
            # Cancelled by the alarm alone, unless somebody else asked for it meanwhile.
            if self.has_rung() and task.uncancel() <= cancelled_before:
                raise TimeoutError from error
            raise
        finally:
            self._waiting = None

    def _ring(self) -> None:
        self._rang = True
        if self._waiting is not None:
            self._waiting.cancel()
