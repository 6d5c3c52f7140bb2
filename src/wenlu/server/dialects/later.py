"""Routes of other servers that this one does not have: clients are told what to ask instead."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.requests import Request

from wenlu.server.http.errors import ApiError
from wenlu.server.http.gateway import Gateway

_INSTEAD = {
    "/v1/responses": "the Responses API is not served yet; ask POST /v1/chat/completions",
    "/v1/responses/{rest:path}": "the Responses API is not served yet; ask POST /v1/chat/completions",
    "/v1/rerank": "rerankers are not served yet; compare vectors of POST /v1/embeddings",
    "/v1/score": "rerankers are not served yet; compare vectors of POST /v1/embeddings",
    "/v1/moderations": "nothing here moderates; a classifier of your own answers at POST /v1/classify",
    "/v1/images/generations": "no model here draws",
    "/v1/audio/speech": "no model here speaks",
    "/v1/audio/transcriptions": "no model here listens",
    "/v1/files": "files are not kept here",
    "/v1/batches": "batches are not served; `wenlu predict` answers files",
    "/v1/fine_tuning/jobs": "training is not served; `wenlu finetune` trains",
    "/api/chat": "Ollama's dialect is not served; ask POST /v1/chat/completions",
    "/api/generate": "Ollama's dialect is not served; ask POST /v1/completions",
    "/api/tags": "Ollama's dialect is not served; ask GET /v1/models",
}


def routes(gateway: Gateway) -> APIRouter:  # noqa: ARG001
    router = APIRouter(include_in_schema=False)
    for path, instead in _INSTEAD.items():
        router.api_route(path, methods=["GET", "POST", "DELETE"])(_refusing(instead))
    return router


def _refusing(instead: str) -> Callable[[Request], Awaitable[None]]:
    async def refuse(request: Request) -> None:  # noqa: ARG001
        raise ApiError(404, instead, code="not_served")

    return refuse
