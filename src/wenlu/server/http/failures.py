"""What a client is told where something goes wrong: always JSON in the shape of its dialect, never an inside."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from wenlu.server.http.caller import request_id
from wenlu.server.http.errors import ApiError


async def refuse(request: Request, error: Exception) -> Response:
    """The answer to an ApiError."""
    assert isinstance(error, ApiError), type(error)
    return refusal(error, request.scope)


def refusal(error: ApiError, scope: Scope) -> Response:
    """The answer that an ApiError is, in the dialect of the path that was asked."""
    return JSONResponse(error.body(scope["path"]), status_code=error.status, headers=error.headers)


async def refuse_route(request: Request, error: Exception) -> Response:
    """The answer where no route fits: 404, or 405 with the methods that there are."""
    assert isinstance(error, HTTPException), type(error)
    where = request.url.path[:200]
    if error.status_code == 405:
        allowed = dict(error.headers or {})
        told = ApiError(405, f"{request.method} is not for {where}", code="method_not_allowed", headers=allowed)
    elif error.status_code == 404:
        told = ApiError(404, f"there is no {where} here; GET /openapi.json tells what there is", code="not_found")
    else:
        told = ApiError(error.status_code, str(error.detail))
    return await refuse(request, told)


async def fail(request: Request, _error: Exception) -> Response:
    """The answer to any other exception, which the log has under the same request id."""
    message = f"the server failed; its log says why, under request id {request_id(request.scope)}"
    return await refuse(request, ApiError(500, message, code="internal_error"))
