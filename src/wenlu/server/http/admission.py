"""Who is let through to the engine, who waits, and who is told to come again."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from wenlu.server.http.errors import ApiError
from wenlu.server.settings import Limits

_MEASURED = 64
"""Requests that ended last, by which it is measured how fast the queue moves."""
_UNMEASURED_SECONDS = 2.0
_LONGEST_SECONDS = 60.0
"""Told at most as the time to come again; some clients do not try at all after two minutes."""


@dataclass(eq=False)
class _Waiting:
    places: int
    tokens: int
    turn: asyncio.Future[None]


class Admission:
    """Places at the engine, and a bounded queue for them, first come, first served.

    A place is an answer that is being written: a request for four answers takes four.
    """

    def __init__(self, limits: Limits, places: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._places = places
        self._clock = clock
        self._taken = 0
        self._queue: deque[_Waiting] = deque()
        self._ended: deque[float] = deque(maxlen=_MEASURED)
        self.running = 0
        self.closed = False

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def waiting_tokens(self) -> int:
        return sum(waiting.tokens for waiting in self._queue)

    @property
    def is_full(self) -> bool:
        """Whether the next request would be refused."""
        return self.waiting >= self._limits.waiting

    @asynccontextmanager
    async def place(self, answers: int, tokens: int) -> AsyncIterator[None]:
        """A place for as many answers to a prompt of about so many tokens, given back at the end.

        Raises ApiError: 429 where too much waits already, 503 where no place was found in time or the server stops.
        """
        if self.closed:
            raise stopping()
        places = min(answers, self._places)
        if self._queue or self._taken + places > self._places:
            await self._wait(places, tokens)
        else:
            self._taken += places
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._ended.append(self._clock())
            self._give_back(places)

    async def _wait(self, places: int, tokens: int) -> None:
        if self.waiting >= self._limits.waiting:
            raise self._busy(f"{self.waiting} requests are waiting, and no more may", "queue_full")
        if self._queue and self.waiting_tokens + tokens > self._limits.waiting_tokens:
            raise self._busy(f"prompts of about {self.waiting_tokens} tokens are waiting", "queue_full")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(places, tokens, turn)
        self._queue.append(waiting)  # nothing was awaited since it was counted, so no two can take the last place
        try:
            async with asyncio.timeout(self._limits.wait_seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._give_back(places)  # its turn came while it left
            elif waiting in self._queue:
                self._queue.remove(waiting)
                self._call_next()  # who came behind it may fit
            if isinstance(error, TimeoutError):
                message = f"found no place within {self._limits.wait_seconds:g} seconds"
                raise ApiError(503, message, code="queue_timeout", retry_after=self.retry_after) from error
            raise

    def _give_back(self, places: int) -> None:
        self._taken -= places
        self._call_next()

    def _call_next(self) -> None:
        while self._queue and self._taken + self._queue[0].places <= self._places:
            waiting = self._queue.popleft()
            if not waiting.turn.cancelled():  # else it has left, and is only not yet told so
                self._taken += waiting.places
                waiting.turn.set_result(None)

    @property
    def retry_after(self) -> float:
        """Seconds in which those that wait will probably have had their turn."""
        if len(self._ended) < 2:
            return _UNMEASURED_SECONDS
        seconds = self._clock() - self._ended[0]
        return min(_LONGEST_SECONDS, max(0.05, (self.waiting + 1) * seconds / len(self._ended)))

    def _busy(self, what: str, code: str) -> ApiError:
        return ApiError(429, f"the server is busy: {what}; come again", code=code, retry_after=self.retry_after)


def stopping() -> ApiError:
    """What is told once the server was asked to stop."""
    return ApiError(503, "the server is stopping; ask again once it has started", code="stopping", retry_after=5.0)
