"""Whether the server lives, whether it would answer, which it is, and what it has counted."""

from __future__ import annotations

import platform
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from wenlu import __version__
from wenlu.server.http.metrics import CONTENT_TYPE
from wenlu.server.http.served import Served


def health_routes(served: Served) -> APIRouter:
    """`/health`, `/ready`, `/version`, `/metrics`."""
    router = APIRouter(tags=["health"])

    @router.get("/health")
    async def health() -> dict[str, str]:
        """Whether this process lives; it says nothing of models."""
        return {"status": "ok"}

    @router.get("/ready", responses={503: {"description": "It would not."}})
    async def ready() -> Response:
        """Whether a request would be answered now."""
        reason = served.reason_to_wait()
        if reason is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reason": reason}, status_code=503, headers={"retry-after": "1"})

    @router.get("/version")
    async def version() -> dict[str, Any]:
        """Of the server, and of what it runs on."""
        return {"version": __version__, "python": platform.python_version()}

    @router.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Counts in Prometheus' text format."""
        return Response(served.metrics.text(), media_type=CONTENT_TYPE)

    for path, answer in (("/health", health), ("/ready", ready)):  # some probes ask for the head alone
        router.add_api_route(path, answer, methods=["HEAD"], include_in_schema=False)
    return router
