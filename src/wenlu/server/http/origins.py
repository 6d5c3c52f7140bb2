"""Under which names the server may be called, and from which pages.

A page elsewhere can make a browser on this machine send requests here: by a name of its own that it points at
127.0.0.1 (DNS rebinding), or as a plain cross-site POST. The first shows in `Host`, the second in `Origin`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wenlu.server.http.errors import ApiError
from wenlu.server.http.failures import refusal

ANY = "*"
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_SAFE = ("GET", "HEAD", "OPTIONS")
_METHODS = "GET, POST, DELETE"
_FIELDS = re.compile(r"[A-Za-z0-9-]+( *, *[A-Za-z0-9-]+)*")
_EXPOSED = "x-request-id, x-ignored-params, x-stop, retry-after, x-ratelimit-remaining-requests"


class Origins:
    """Refuses other hosts (421) and, for all that is not only read, other pages (403); tells browsers of the pages that
    may (CORS).

    Args:
        names: hosts by which the server may be called, without ports; `"*"`: any.
        origins: pages elsewhere that may, as "https://notes.example".
        addresses: any IP address may be called: it cannot be pointed elsewhere as a name can.
    """

    def __init__(
        self, app: ASGIApp, *, names: Iterable[str] = (), origins: Iterable[str] = (), addresses: bool = False
    ) -> None:
        self.app = app
        self._names = {"localhost", *(name.lower() for name in names)}
        self._origins = {origin.lower() for origin in origins}
        self._addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            host = self._checked_host(headers)
            origin = self._checked_origin(headers, host, scope["method"])
        except ApiError as error:
            await refusal(error, scope)(scope, receive, send)
            return
        if origin not in self._origins:
            await self.app(scope, receive, send)
            return
        asked = headers.get("access-control-request-method")
        if scope["method"] == "OPTIONS" and asked is not None:
            await _preflight(origin, headers)(scope, receive, send)
            return

        async def share(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                given["access-control-allow-origin"] = origin
                given["access-control-expose-headers"] = _EXPOSED
                given["cross-origin-resource-policy"] = "cross-origin"
                given.add_vary_header("origin")
            await send(message)

        await self.app(scope, receive, share)

    def _checked_host(self, headers: Headers) -> str:
        given = headers.getlist("host")
        if len(given) != 1:
            raise ApiError(
                400, f"a request says its host once, not {len(given)} times", headers={"connection": "close"}
            )
        found = _HOST.fullmatch(given[0])
        if found is None or not (ANY in self._names or self._is_ours(found["name"].lower())):
            message = f"this server is not {given[0][:100]!r}; allow the name with hosts='[\"NAME\"]'"
            raise ApiError(421, message, code="unknown_host")
        return given[0].lower()

    def _is_ours(self, name: str) -> bool:
        if name in self._names:
            return True
        try:
            address = ip_address(name.strip("[]"))
        except ValueError:
            return False
        bracketed = name.startswith("[")
        return bracketed == isinstance(address, IPv6Address) and (self._addresses or address.is_loopback)

    def _checked_origin(self, headers: Headers, host: str, method: str) -> str:
        """The page that asks, "" for none; another program than a browser says none."""
        given = [origin.lower() for origin in headers.getlist("origin")]
        origin = given[0] if given else ""
        if method in _SAFE:
            return origin
        ours = {f"http://{host}", f"https://{host}"} | self._origins
        if len(given) > 1 or (given and origin not in ours):
            message = f"the page {origin[:100]!r} may not use this server; allow it with origins='[\"ORIGIN\"]'"
            raise ApiError(403, message, code="unknown_origin")
        return origin


def _preflight(origin: str, headers: Headers) -> Response:
    allowed = {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": _METHODS,
        "access-control-max-age": "600",
        "vary": "origin",
    }
    fields = headers.get("access-control-request-headers", "")
    if _FIELDS.fullmatch(fields):
        allowed["access-control-allow-headers"] = fields
    return Response(status_code=204, headers=allowed)
