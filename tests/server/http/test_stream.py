"""Streams, and clients that leave them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import ASGIApp
from tests.server.asgi import JSON, Visit, ask, until
from tests.server.fixed_engine import FixedEngine

from wenlu.server.http.app import build_app
from wenlu.server.http.caller import caller_of
from wenlu.server.http.errors import ApiError
from wenlu.server.http.gateway import Gateway
from wenlu.server.http.served import Served
from wenlu.server.http.stream import EventStream
from wenlu.server.messages import Delta, Failed, Generate, TextPrompt
from wenlu.server.settings import Limits

LIMITS = Limits()
FAILED = Failed(id=0, fault="engine", message="out of luck")


def _writer(gateway: Gateway) -> APIRouter:
    router = APIRouter()

    async def texts(request: Request) -> AsyncIterator[bytes]:
        asked = Generate(id=gateway.next_id(), model="writer", prompt=TextPrompt("Once"))
        async with aclosing(gateway.generate(caller_of(request), asked)) as events:  # type: ignore[type-var]
            async for event in events:
                yield f"data: {event.text}\n\n".encode() if isinstance(event, Delta) else b": \n\n"

    @router.post("/v1/stream")
    async def stream(request: Request) -> Response:
        return EventStream(texts(request), gateway.limits, failed=lambda error: json.dumps(error.body("/")).encode())

    @router.post("/v1/whole")
    async def whole(request: Request) -> Response:
        return Response(b"".join([text async for text in texts(request)]))

    return router


def _app(engine: FixedEngine, limits: Limits = LIMITS) -> ASGIApp:
    return build_app(Served(engine, limits), dialects=[_writer])


def test_events_come_one_by_one_and_nothing_may_keep_them() -> None:
    response = ask(_app(FixedEngine(["a", "b"])), "POST", "/v1/stream", headers=JSON)
    assert response.text == ": \n\ndata: a\n\ndata: b\n\n: \n\n"
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"
    assert "content-length" not in response.headers


def test_a_refusal_before_the_first_event_is_a_status() -> None:
    response = ask(_app(FixedEngine(fails=FAILED)), "POST", "/v1/stream", headers=JSON)
    assert response.status_code == 500
    assert response.json()["error"] == {
        "message": "out of luck",
        "type": "api_error",
        "param": None,
        "code": "engine_failed",
    }


def test_a_failure_behind_the_first_event_is_the_last_event() -> None:
    response = ask(_app(FixedEngine(fails=FAILED, fails_after=2)), "POST", "/v1/stream", headers=JSON)
    assert response.status_code == 200
    assert response.text.startswith(": \n\ndata: Hello\n\ndata: ,\n\n{")
    assert json.loads(response.text.split("\n\n")[-1])["error"]["message"] == "out of luck"


def test_an_engine_that_breaks_ends_the_stream_with_an_error() -> None:
    async def run() -> None:
        engine = FixedEngine(token_seconds=60)
        visit = Visit(_app(engine), "/v1/stream")
        await until(lambda: visit.text)
        engine.broken.set()
        await visit.task
        assert json.loads(visit.text.split("\n\n")[-1])["error"]["code"] == "engine_gone"

    asyncio.run(run())


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/whole"])
@pytest.mark.parametrize("stage", ["prefill", "decode"])
def test_who_hangs_up_frees_the_engine_at_once(path: str, stage: str) -> None:
    async def run() -> None:
        engine = FixedEngine(prefill_seconds=60 if stage == "prefill" else 0, token_seconds=60)
        visit = Visit(_app(engine), path)
        await until(lambda: engine.running)
        await asyncio.sleep(0.02)
        visit.hang_up()
        begun = time.perf_counter()
        await until(lambda: not engine.running)
        assert time.perf_counter() - begun < 0.25
        await visit.task
        assert list(engine.cancelled.values()) == [stage]

    asyncio.run(run())


def test_who_takes_nothing_is_left_after_a_while() -> None:
    async def run() -> None:
        engine = FixedEngine(["a"] * 1000, token_seconds=0.001)
        visit = Visit(_app(engine, Limits(stalled_seconds=0.05)), "/v1/stream")
        await until(lambda: visit.text)
        visit.reads.clear()
        await visit.task
        assert not engine.running
        assert engine.cancelled

    asyncio.run(run())


def test_the_server_s_own_cancellation_is_not_swallowed() -> None:
    async def run() -> None:
        engine = FixedEngine(token_seconds=60)
        visit = Visit(_app(engine), "/v1/whole")
        await until(lambda: engine.running)
        visit.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await visit.task
        assert not engine.running

    asyncio.run(run())


def test_a_gateway_says_which_models_there_are() -> None:
    gateway = Served(FixedEngine(), Limits())
    assert gateway.model("writer", "chat").context == 4096
    with pytest.raises(ApiError, match="model is 'scribe'; served are: writer, judge") as unknown:
        gateway.model("scribe")
    assert (unknown.value.status, unknown.value.code, unknown.value.param) == (404, "model_not_found", "model")
    with pytest.raises(ApiError, match="model is NoneType"):
        gateway.model(None)
    with pytest.raises(
        ApiError, match="judge cannot chat; it can: classify, explain; models that chat: writer"
    ) as unable:
        gateway.model("judge", "chat")
    assert unable.value.status == 400
