"""The ASGI application: the routes of all dialects, and what stands around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import uuid4

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from wenlu import __version__
from wenlu.server.dialects import DIALECTS
from wenlu.server.http.caller import set_caller, set_request_id
from wenlu.server.http.errors import ApiError
from wenlu.server.http.failures import fail, refuse, refuse_route
from wenlu.server.http.gateway import Caller, Gateway
from wenlu.server.http.hangup import Hangup


def build_app(gateway: Gateway, *, dialects: Sequence[Callable[[Gateway], APIRouter]] = DIALECTS) -> ASGIApp:
    """The application that answers in these dialects through a gateway."""
    app = FastAPI(
        title="Wenlu",
        version=__version__,
        docs_url=None,  # they would fetch their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={ApiError: refuse, HTTPException: refuse_route, Exception: fail},
    )
    for dialect in dialects:
        app.include_router(dialect(gateway))
    return _Named(Hangup(app))


class _Named:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            name = uuid4().hex
            set_request_id(scope, name)
            set_caller(scope, Caller(key="", scopes=frozenset({"infer", "admin"}), request=name))
        await self.app(scope, receive, send)
