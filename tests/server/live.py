"""A real server on the fixed engine at a free port of this machine, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response
from tests.server.fixed_engine import FixedEngine

from wenlu.server.http.app import OPEN, Doors, build_app
from wenlu.server.http.body import read_json
from wenlu.server.http.caller import caller_of
from wenlu.server.http.gateway import Gateway
from wenlu.server.http.served import Served
from wenlu.server.http.server import Server
from wenlu.server.http.stream import EventStream
from wenlu.server.listening import listen
from wenlu.server.messages import Delta, Generate, TextPrompt
from wenlu.server.settings import Limits


@dataclass
class Live:
    """A server that runs; `say` sends bytes and returns all that it answers until it closes."""

    port: int
    engine: FixedEngine
    served: Served
    server: Server

    def connect(self, timeout: float = 10.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def say(self, sent: bytes) -> bytes:
        with closing(self.connect()) as client:
            client.sendall(sent)
            return read_all(client)


def read_all(client: socket.socket) -> bytes:
    """What arrives until the other side closes; raises TimeoutError where it does not."""
    answer = b""
    try:
        while piece := client.recv(65536):
            answer += piece
    except ConnectionResetError:
        pass
    return answer


def plain_routes(gateway: Gateway) -> APIRouter:
    """A body that comes back, and a stream."""
    router = APIRouter()

    @router.post("/v1/mirror")
    async def mirror(request: Request) -> Response:
        return Response(str(len(str(await read_json(request, gateway.limits)))))

    @router.post("/v1/stream")
    async def stream(request: Request) -> Response:
        asked = Generate(id=gateway.next_id(), model="writer", prompt=TextPrompt("Once"))

        async def texts():  # type: ignore[no-untyped-def]
            events = gateway.generate(caller_of(request), asked)
            try:
                async for event in events:
                    if isinstance(event, Delta):
                        yield f"data: {event.text}\n\n".encode()
            finally:
                await events.aclose()  # type: ignore[attr-defined]

        return EventStream(texts(), gateway.limits, failed=lambda error: f"data: {error.code}\n\n".encode())

    return router


PLAIN = (plain_routes,)


@contextmanager
def live(
    engine: FixedEngine,
    limits: Limits,
    doors: Doors = OPEN,
    *,
    dialects: Sequence[Callable[[Gateway], APIRouter]] = PLAIN,
    places: int = 16,
) -> Iterator[Live]:
    """A server that is stopped when the block ends; its engine's coroutines run in the server's thread."""
    listening = listen("127.0.0.1", 0)
    served = Served(engine, limits, places=places)
    app = build_app(served, dialects=dialects, doors=doors)

    def stopping() -> None:
        served.admission.closed = True

    async def cut() -> None:
        engine.broken.set()

    server = Server(app, limits, stopping=stopping, cut=cut)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    try:
        yield Live(listening.getsockname()[1], engine, served, server)
    finally:
        server.stop()
        server.stop()
        thread.join(10)
        assert not thread.is_alive(), "the server did not stop"
