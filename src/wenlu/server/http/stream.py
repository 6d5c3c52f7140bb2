"""An answer that is written as it comes: server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from wenlu.server.http.errors import ApiError
from wenlu.server.settings import Limits

_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class EventStream(Response):
    """Sends what `events` yields, each as it comes.

    The status is 200 only once there is a first event: an ApiError before it becomes the answer, as for an answer
    that does not stream; after it, `failed` writes it as the stream's last event. The iterator, an asynchronous
    generator, is closed at once where the client hangs up (`Hangup` cancels the task) or takes nothing for
    `stalled_seconds` while `send_bytes` wait for it.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[bytes],
        limits: Limits,
        *,
        failed: Callable[[ApiError], bytes],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(headers={**_HEADERS, **(headers or {})})
        del self.headers["content-length"]
        self._events = events
        self._stalled_seconds = limits.stalled_seconds
        self._failed = failed

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        async with aclosing(self._events):  # type: ignore[type-var]
            first = await anext(self._events, b"")
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            try:
                await self._pass(first, send)
                async for event in self._events:
                    await self._pass(event, send)
            except ApiError as error:
                await self._pass(self._failed(error), send)
            except TimeoutError:
                return  # nobody reads; an answer without its end makes the server close the connection
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pass(self, event: bytes, send: Send) -> None:
        """Hand an event to the connection, which takes it unless `send_bytes` of others wait there."""
        async with asyncio.timeout(self._stalled_seconds):
            await send({"type": "http.response.body", "body": event, "more_body": True})
