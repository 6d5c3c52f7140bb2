"""HTTP/1.1 on a connection: uvicorn's parser, with the deadlines and the strictness that it lacks.

uvicorn waits for a request as long as its bytes trickle in, and asks nobody before it has parsed it, so both clocks
stand here, around its protocol (Kludex/uvicorn issue 157).
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from wenlu.server.http.errors import ApiError
from wenlu.server.settings import Limits

_MEGABYTE = 1_000_000
_STATUS = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_FOLDED = re.compile(rb"\r\n[ \t]")


def protocol_of(limits: Limits) -> type[asyncio.Protocol]:
    """The protocol class with these limits, as uvicorn makes one for each connection."""

    class Limited(Protocol):
        pass

    Limited.limits = limits
    return Limited


class Protocol(HttpToolsProtocol):
    """Closes what is late (408), too long (431) or could be read in two ways (400), and readers that take nothing."""

    limits: Limits

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header: bytearray | None = bytearray()
        """Of the request that is arriving; None once it is whole."""
        self._header_size = 0
        self._begun = 0.0
        self._received = 0
        self._left = 0
        self._left_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._refused = False
        limits = self.limits
        self._look_seconds = min(1.0, limits.header_seconds / 5, limits.receive_seconds / 5, limits.stalled_seconds / 5)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        high = self.limits.send_bytes
        transport.set_write_buffer_limits(high=high, low=max(0, high - 4096))  # whoever takes a little may go on
        self._begun = self._left_at = self.loop.time()
        self._watch = self.loop.call_later(self._look_seconds, self._look)
        if len(self.connections) > self.limits.connections:
            self._refuse(503, f"{self.limits.connections} connections are open, and no more may be")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._header is not None:
            if not self._header:
                self._begun = self.loop.time()
                self._received = 0
            self._header += data[: self.limits.header_bytes + 4 - len(self._header)]
            if not self._may_go_on(bytes(self._header)):
                return
        self._received += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._header_size = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._refused and (problem := _ambiguous(self.headers)):
            self._refuse(400, problem)
        if not self._refused:
            self._header = None
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._header = bytearray()
        if not self._refused:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _may_go_on(self, header: bytes) -> bool:
        end = header.find(b"\r\n\r\n")
        head = header if end < 0 else header[: end + 2]
        if len(head) > self.limits.header_bytes:
            self._refuse(431, f"the header is longer than {self.limits.header_bytes} bytes")
        elif _BARE_LINE_FEED.search(head):
            self._refuse(400, "a line of the header ends without a carriage return")
        elif _FOLDED.search(head):
            self._refuse(400, "a line of the header is folded")
        return not self._refused

    def _count(self, size: int) -> None:
        """Of a header that came behind another request, in one piece with it."""
        self._header_size += size
        if self._header_size > self.limits.header_bytes and not self._refused:
            self._refuse(431, f"the header is longer than {self.limits.header_bytes} bytes")

    def _look(self) -> None:
        """Once in a while: is the request late, or does the reader take nothing?"""
        now = self.loop.time()
        self._watch = self.loop.call_later(self._look_seconds, self._look)
        if self._is_late(now):
            self._refuse(408, "the request did not arrive in time")
        left = self.transport.get_write_buffer_size()
        waits = self.flow.write_paused or (self.transport.is_closing() and left > 0)
        if not waits or left < self._left:
            self._left_at = now
        self._left = left
        if now - self._left_at > self.limits.stalled_seconds:
            self.transport.abort()

    def _is_late(self, now: float) -> bool:
        if self._header is None:  # the body is not whole, answered or not
            return now - self._begun > self.limits.receive_seconds + self._received / _MEGABYTE
        idle = not self._header and self.cycle is not None  # it is being answered, or uvicorn counts how long it idles
        return not idle and now - self._begun > self.limits.header_seconds

    def _refuse(self, status: int, message: str) -> None:
        """Answer without the application, in the shape of all errors, and close."""
        self._refused = True
        if self.transport.is_closing():
            return
        if self.cycle is not None:
            arrived = self._header is not None
            if not self.cycle.response_complete if arrived else self.cycle.response_started:
                self.transport.abort()  # another answer is on its way, or was given to this request
                return
        path = getattr(self, "url", b"").decode("latin-1")
        body = json.dumps(ApiError(status, message).body(path)).encode()
        lines = (
            f"HTTP/1.1 {status} {_STATUS[status]}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "connection: close",
        )
        self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        self.transport.close()


def _ambiguous(headers: list[tuple[bytes, bytes]]) -> str | None:
    """What another program on the way could have read in another way."""
    names = [name for name, _ in headers]
    if names.count(b"content-length") > 1:
        return "content-length is said twice"
    if b"transfer-encoding" in names:
        codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
        if codings != [b"chunked"]:
            return "transfer-encoding can only be chunked"
        if b"content-length" in names:
            return "content-length and transfer-encoding are both said"
    if any(value.strip() and not value.strip().isdigit() for name, value in headers if name == b"content-length"):
        return "content-length is no number"
    return None
