"""Ask an ASGI application without a socket, also as a client that hangs up or stops reading."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import httpx
from starlette.types import ASGIApp, Message

JSON = {"content-type": "application/json"}


def ask(app: ASGIApp, method: str, path: str, **options: Any) -> httpx.Response:
    """One request from 127.0.0.1 to http://localhost:8000, its whole answer read."""

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport(app), base_url="http://localhost:8000") as client:
            return await client.request(method, path, **options)

    return asyncio.run(send())


def transport(app: ASGIApp) -> httpx.ASGITransport:
    return httpx.ASGITransport(app=app, raise_app_exceptions=False)


class Visit:
    """A request whose client may hang up at any moment.

    Attributes:
        messages: what the application has sent.
        reads: whether the client takes what is sent; where it does not, `send` waits.
    """

    def __init__(
        self,
        app: ASGIApp,
        path: str,
        body: bytes = b"{}",
        headers: Mapping[str, str] = JSON,
        *,
        method: str = "POST",
    ) -> None:
        self.messages: list[Message] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self._gone = asyncio.Event()
        self._body = [{"type": "http.request", "body": body, "more_body": False}]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": unquote(path),  # as uvicorn does, which leaves dots and slashes as they are
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"localhost:8000"), *((k.encode(), v.encode()) for k, v in headers.items())],
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8000),
            "scheme": "http",
            "root_path": "",
        }
        self.task = asyncio.create_task(app(scope, self._receive, self._send))  # type: ignore[arg-type]

    async def _receive(self) -> Message:
        if self._body:
            return self._body.pop()
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.reads.wait()
        self.messages.append(message)

    def hang_up(self) -> None:
        self._gone.set()

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.messages).decode()


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for something to become true; fails where it does not."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)
