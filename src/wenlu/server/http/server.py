"""uvicorn, told to stop as we mean it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from wenlu.server.http.logs import told
from wenlu.server.http.protocol import protocol_of
from wenlu.server.settings import Limits

_log = logging.getLogger("wenlu.server")
_KEEP_ALIVE_SECONDS = 30
_LAST_WORDS_SECONDS = 2.0
"""In which streams that were cut off can still be told so."""


class Server(uvicorn.Server):
    """Serves one application at one socket until it is told to stop.

    Args:
        stopping: called when it is, before it waits for what is being answered. cut: called when that took too long.
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, *, stopping: Callable[[], None], cut: Callable[[], Awaitable[None]]
    ) -> None:
        config = uvicorn.Config(
            app,
            http=protocol_of(limits),
            ws="none",
            lifespan="off",
            proxy_headers=False,  # who is in front of us is not known, so nobody's word counts for who asks
            server_header=False,
            access_log=False,
            log_config=None,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(limits.drain_seconds + _LAST_WORDS_SECONDS) + 1,
        )
        super().__init__(config)
        self._drain_seconds = limits.drain_seconds
        self._stopping = stopping
        self._cut = cut

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # `serve` listens for them from before the models are loaded

    def stop(self) -> None:
        """The first time let what is being answered end; the second time do not."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _log.info("stopping", extra=told(answering=len(self.server_state.tasks)))
        self._stopping()
        cutting = asyncio.create_task(self._cut_later())
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()

    async def _cut_later(self) -> None:
        end = asyncio.get_running_loop().time() + self._drain_seconds
        while asyncio.get_running_loop().time() < end and not self.force_exit:
            await asyncio.sleep(0.05)
        await self._cut()
