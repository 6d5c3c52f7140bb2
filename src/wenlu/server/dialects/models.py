"""The models that are served, and what each can be asked."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from wenlu.server.dialects.documents import documented
from wenlu.server.dialects.sse import answered
from wenlu.server.http.gateway import Gateway
from wenlu.server.messages import Ability, ModelInfo


class Model(Struct, frozen=True, kw_only=True):
    """`max_model_len`: tokens of prompt and answer together. `columns`: what an example of `task` consists of. `sees`:
    whether a message of a user may show a picture."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["wenlu"] = "wenlu"
    max_model_len: int | None
    capabilities: tuple[Ability, ...]
    task: str | None
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    parent: str | None
    loaded: bool
    sees: bool


class ModelList(Struct, frozen=True, kw_only=True):
    object: Literal["list"] = "list"
    data: list[Model]


def routes(gateway: Gateway) -> APIRouter:
    router = APIRouter()

    @router.get("/v1/models", **documented("List the models", None, ModelList))
    async def models() -> Response:
        return answered(ModelList(data=[_told(model) for model in gateway.models]), {})

    @router.get("/v1/models/{name:path}", **documented("Describe a model", None, Model, names=("name",)))
    async def model(request: Request) -> Response:
        return answered(_told(gateway.model(request.path_params["name"])), {})

    return router


def _told(model: ModelInfo) -> Model:
    return Model(
        id=model.name,
        created=model.created,
        max_model_len=model.context,
        capabilities=model.abilities,
        task=model.task,
        labels=model.labels,
        columns=model.columns,
        parent=model.parent,
        loaded=model.loaded,
        sees=model.sees,
    )
