"""The ASGI application: the routes of all dialects, and what stands around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from wenlu import __version__
from wenlu.server.dialects import DIALECTS
from wenlu.server.http.authentication import HEALTH, Authentication
from wenlu.server.http.errors import ApiError
from wenlu.server.http.failures import fail, refuse, refuse_route
from wenlu.server.http.gateway import Gateway
from wenlu.server.http.hangup import Hangup
from wenlu.server.http.health import health_routes
from wenlu.server.http.journal import Journal
from wenlu.server.http.metrics import Metrics
from wenlu.server.http.origins import ANY, Origins
from wenlu.server.http.page import page_paths, page_routes
from wenlu.server.http.rates import Rates
from wenlu.server.http.served import Served
from wenlu.server.store.ring import Ring


@dataclass(frozen=True)
class Doors:
    """Who may come in.

    Attributes:
        names, origins, addresses: of `Origins`.
        ring: of `Authentication`.
    """

    names: tuple[str, ...] = (ANY,)
    origins: tuple[str, ...] = ()
    addresses: bool = False
    ring: Ring | None = None


OPEN = Doors()
"""Everybody, by any name: for an application that is asked without a socket."""


def build_app(
    gateway: Gateway, *, dialects: Sequence[Callable[[Gateway], APIRouter]] = DIALECTS, doors: Doors = OPEN
) -> ASGIApp:
    """The application that answers in these dialects through a gateway.

    From the outside in: `Journal`, `Origins`, `Authentication`, `Hangup`, routes; each refuses before the next one
    sees anything.
    """
    app = FastAPI(
        title="Wenlu",
        version=__version__,
        docs_url=None,  # they would fetch their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={ApiError: refuse, HTTPException: refuse_route, Exception: fail},
    )
    served = gateway if isinstance(gateway, Served) else None
    for dialect in dialects:
        app.include_router(dialect(gateway))
    if served is not None:
        app.include_router(health_routes(served))
    app.router.routes.extend(page_routes())
    rates, metrics = (Rates(gateway.limits), Metrics()) if served is None else (served.rates, served.metrics)
    keyed = Authentication(Hangup(app), doors.ring, rates, free=HEALTH | page_paths())
    checked = Origins(keyed, names=doors.names, origins=doors.origins, addresses=doors.addresses)
    return Journal(checked, metrics)
