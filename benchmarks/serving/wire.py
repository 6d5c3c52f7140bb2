"""A client that costs little: HTTP/1.1 over a socket, one request at a time on a connection that stays."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"


@dataclass
class Reply:
    """What came back.

    Attributes:
        seconds: from the first byte that was sent to the last that came. first: to the first byte of the body.
        times: when each event of a stream came, in seconds since the request.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    seconds: float = 0.0
    first: float = 0.0
    times: list[float] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One connection to the server, opened when it is first needed, and again when the server closed it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.reader is None or self.writer is None or self.reader.at_eof():
            self.reader, self.writer = await asyncio.open_connection(HOST, self.port)
        return self.reader, self.writer

    def close(self) -> None:
        """At once, as a client that is gone."""
        if self.writer is not None:
            self.writer.transport.abort()
        self.reader = self.writer = None

    async def ask(self, path: str, body: object = None) -> Reply:
        """The whole answer to a GET, or to a POST of `body` as JSON."""
        begin = time.perf_counter()
        reply: Reply | None = None
        async for piece in self.stream(path, body):
            if isinstance(piece, Reply):
                reply = piece
                continue
            assert reply is not None, "the head comes first"
            now = time.perf_counter() - begin
            reply.first = reply.first or now
            reply.body += piece
            reply.times += [now] * piece.count(b"data: ")
        assert reply is not None, "there is a head"
        reply.seconds = time.perf_counter() - begin
        return reply

    async def stream(self, path: str, body: object = None) -> AsyncIterator[Reply | bytes]:
        """The head of the answer, then its body piece by piece as it comes."""
        reader, writer = await self.open()
        data = b"" if body is None else json.dumps(body).encode()
        method = "GET" if body is None else "POST"
        head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}:{self.port}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:] if line)}
        yield Reply(int(lines[0].split()[1]), headers)
        if headers.get("transfer-encoding") == "chunked":
            while size := int(await reader.readline(), 16):
                yield (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        else:
            yield await reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self.close()


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * (len(ordered) - 1))))]
