"""Nothing is reached without a key, where there is one: this stands before all routes and knows none of them."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wenlu.server.http.caller import request_id, set_caller
from wenlu.server.http.errors import ApiError
from wenlu.server.http.failures import refusal
from wenlu.server.http.gateway import Caller
from wenlu.server.http.rates import Rates
from wenlu.server.store.ring import Ring

HEALTH = frozenset({"/health", "/ready"})
_EVERYTHING = frozenset({"infer", "admin"})
_ADMIN = "/admin/"
_NEUTRAL = frozenset({"/metrics", "/version", "/openapi.json"})
"""What every key may read, whatever its scope."""


class Authentication:
    """Lets through who has a key for what is asked, within what the key may ask.

    Args:
        ring: the keys; None: none is needed.
        free: paths that may be read without one, as they are routed, to the letter.
    """

    def __init__(self, app: ASGIApp, ring: Ring | None, rates: Rates, *, free: Collection[str] = HEALTH) -> None:
        self.app = app
        self._ring = ring
        self._rates = rates
        self._free = frozenset(free)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"] in self._free and scope["method"] in ("GET", "HEAD"):
            set_caller(scope, Caller("", frozenset(), request_id(scope)))
            await self.app(scope, receive, send)
            return
        try:
            caller = await self._caller(scope)
            with self._rates.counted(caller.key) as told:
                set_caller(scope, caller)
                await self.app(scope, receive, _with_headers(send, told) if told else send)
        except ApiError as error:  # of this layer: those of the application were answered inside it
            await refusal(error, scope)(scope, receive, send)

    async def _caller(self, scope: Scope) -> Caller:
        name = request_id(scope)
        if self._ring is None or not await self._ring.is_needed():
            return Caller("", _EVERYTHING, name)
        secret = _secret(Headers(scope=scope))
        found = await self._ring.find(secret) if secret else None
        if found is None:
            what = "this key is not known, or no longer" if secret else "a key is needed"
            message = f"{what}; send it as Authorization: Bearer KEY, or as x-api-key"
            close = {"www-authenticate": "Bearer", "connection": "close"}
            raise ApiError(401, message, code="invalid_api_key", headers=close)
        key, scopes = found
        needed = "admin" if scope["path"].startswith(_ADMIN) else "infer"
        if needed not in scopes and scope["path"] not in _NEUTRAL:
            message = f"this key has the scope {', '.join(sorted(scopes))}; this needs {needed}"
            raise ApiError(403, message, code="missing_scope")
        return Caller(key, scopes, name)


def _secret(headers: Headers) -> str | None:
    """The one key that a request brings; none where it brings several."""
    found = set()
    for value in headers.getlist("authorization"):
        kind, _, secret = value.partition(" ")
        found.add(secret.strip() if kind.lower() == "bearer" else "")
    found |= {value.strip() for value in headers.getlist("x-api-key")}
    return found.pop() if len(found) == 1 else None


def _with_headers(send: Send, told: dict[str, str]) -> Send:
    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(told)
        await send(message)

    return answer
