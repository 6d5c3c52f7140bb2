"""A client that hangs up ends what is done for it, whatever that is waiting for."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Hangup:
    """Cancels the task of a request whose client is gone: while it waits for a place, reads a prompt or writes.

    ASGI tells of it only to who asks, so a second task asks all the time and hands the body on.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        task = asyncio.current_task()
        assert task is not None, "ASGI applications run in tasks"
        body: asyncio.Queue[Message] = asyncio.Queue(maxsize=1)
        gone = asyncio.Event()
        answered = False

        async def listen() -> None:
            while (message := await receive())["type"] != "http.disconnect":
                await body.put(message)
            gone.set()
            if not answered:
                task.cancel()

        async def take() -> Message:
            if gone.is_set() and body.empty():
                return {"type": "http.disconnect"}
            return await body.get()

        async def tell(message: Message) -> None:
            nonlocal answered
            await send(message)
            answered = message["type"] == "http.response.body" and not message.get("more_body", False)

        listening = asyncio.create_task(listen())
        try:
            await self.app(scope, take, tell)
        except asyncio.CancelledError:
            if not gone.is_set():
                raise
            task.uncancel()
        finally:
            listening.cancel()
