"""What surrounds every request: its id, its line in the log, its count, and the headers that every answer has."""

from __future__ import annotations

import time
from uuid import uuid4

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wenlu.server.http.caller import key_of, request_id, set_request_id
from wenlu.server.http.logs import ACCESS, told
from wenlu.server.http.metrics import Metrics

GONE = 499
"""In the log, of a request whose client did not wait for an answer."""
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_LONGEST = 200


class Journal:
    """The outermost layer. Neither the query of a request, nor its body, nor its key is written down."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # nothing here speaks it, with a key or without
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        set_request_id(scope, uuid4().hex)
        begun, status = time.perf_counter(), GONE

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id(scope)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            self.metrics.requests.labels(_route(scope), str(status)).inc()
            milliseconds = round(1000 * (time.perf_counter() - begun), 1)
            client = scope.get("client") or ("", 0)
            facts = told(
                id=request_id(scope),
                client=client[0],
                key=key_of(scope),
                method=scope["method"][:20],
                path=scope["path"][:_LONGEST],
                status=status,
                milliseconds=milliseconds,
            )
            ACCESS.info("request", extra=facts)


def _route(scope: Scope) -> str:
    """The route that was found as it is declared, so that no client makes up labels."""
    return str(getattr(scope.get("route"), "path", "none"))
