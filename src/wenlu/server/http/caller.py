"""Who asks, as a request carries it from the check of its key to the dialect."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.requests import Request

from wenlu.server.http.gateway import Caller

_CALLER = "wenlu.caller"
_REQUEST = "wenlu.request"


def caller_of(request: Request) -> Caller:
    """Who sent a request; it is always known once a route is reached."""
    caller = request.scope[_CALLER]
    assert isinstance(caller, Caller), f"a request without a caller reached {request.url.path}"
    return caller


def set_caller(scope: MutableMapping[str, Any], caller: Caller) -> None:
    scope[_CALLER] = caller


def request_id(scope: MutableMapping[str, Any]) -> str:
    """The id of a request, that its answer's `x-request-id` and the log carry."""
    return str(scope[_REQUEST])


def set_request_id(scope: MutableMapping[str, Any], name: str) -> None:
    scope[_REQUEST] = name


def key_of(scope: MutableMapping[str, Any]) -> str:
    """The id of the key that a request came with, "" where it had none or was refused before that."""
    caller = scope.get(_CALLER)
    return caller.key if isinstance(caller, Caller) else ""
