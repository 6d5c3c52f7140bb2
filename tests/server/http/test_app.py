"""Whatever goes wrong is told in the dialect's own shape, and never from inside."""

from __future__ import annotations

import pytest
from fastapi import APIRouter
from starlette.types import ASGIApp
from tests.server.asgi import ask
from tests.server.fixed_engine import FixedEngine

from wenlu.server.http.app import build_app
from wenlu.server.http.gateway import Gateway
from wenlu.server.http.served import Served
from wenlu.server.settings import Limits


def _broken(_gateway: Gateway) -> APIRouter:
    router = APIRouter()

    @router.post("/v1/messages")
    @router.post("/v1/broken")
    async def broken() -> None:
        raise RuntimeError("the secret of /home/someone")

    return router


@pytest.fixture(scope="module")
def app() -> ASGIApp:
    return build_app(Served(FixedEngine(), Limits()), dialects=[_broken])


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/v1/broken", 500, "internal_error"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/broken", 405, "method_not_allowed"),
        ("POST", "/v1/broken/", 404, "not_found"),
    ],
)
def test_errors_have_openai_s_shape(app: ASGIApp, method: str, path: str, status: int, code: str) -> None:
    response = ask(app, method, path)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert response.json()["error"]["code"] == code
    assert "secret" not in response.text


def test_errors_of_messages_have_anthropic_s_shape(app: ASGIApp) -> None:
    response = ask(app, "POST", "/v1/messages")
    assert response.status_code == 500
    assert response.json()["type"] == "error"
    assert response.json()["error"]["type"] == "api_error"
    assert ask(app, "GET", "/v1/messages").headers["allow"] == "POST"
