"""A server that says what a test wrote down, on the wire that the real one speaks; for states that are rare there."""

from __future__ import annotations

import asyncio
import json
import math
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from wenlu.server.http.page import page_routes


def _model(name: str, *abilities: str, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 1_790_000_000,
        "owned_by": "wenlu",
        "max_model_len": 2048,
        "capabilities": list(abilities),
        "task": None,
        "labels": [],
        "columns": [],
        "parent": None,
        "loaded": True,
        "sees": False,
        **more,
    }


MODELS = [
    _model("smollm2-135m-instruct", "chat", "complete"),
    _model("smollm2-poems", "chat", "complete", parent="smollm2-135m-instruct", loaded=False),
    _model("reviews-zh", "classify", "explain", task="text-classification", labels=["好评", "差评"], columns=["text"]),
    _model(
        "pairs",
        "classify",
        "explain",
        task="text-classification",
        labels=["entailment", "neutral", "contradiction"],
        columns=["text", "second"],
    ),
    _model("names", "extract", "explain", task="token-classification", labels=["PER", "LOC", "ORG"], columns=["text"]),
    _model("reader", "answer", "explain", task="question-answering", columns=["question", "context"]),
    _model("zh-en", "translate", task="translation", columns=["source", "mark"]),
    _model("essays", "grade", "explain", task="grading", labels=["content", "language"], columns=["text", "prompt"]),
    _model("vectors", "embed", task="embedding"),
]


@dataclass
class Script:
    """What is said, and what was heard.

    Attributes:
        says: the text of an answer. pause: seconds before each of its tokens. forever: it never ends.
        breaks: an error comes in the stream after so many tokens.
        key: that requests must carry. refusal: status, error and headers of the next answer to a POST.
        rows: of the tasks, by the last part of their path. why: the explanation of any of them.
        heard: path, body and headers of each request to the API.
        hung_up: set when a client left in the middle of a stream.
    """

    says: str = "Yes."
    pause: float = 0.0
    forever: bool = False
    breaks: int | None = None
    key: str | None = None
    refusal: tuple[int, dict[str, Any], dict[str, str]] | None = None
    is_ready: bool = True
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    why: dict[str, Any] = field(default_factory=dict)
    heard: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)
    models: list[dict[str, Any]] = field(default_factory=lambda: list(MODELS))


def tokens_of(text: str) -> list[str]:
    return re.findall(r"\s*[A-Za-z]+|\s*[^A-Za-z\s]|\s+", text)


def scripted_app(script: Script) -> Starlette:
    def refused(request: Request) -> Response | None:
        if script.key and request.headers.get("authorization") != f"Bearer {script.key}":
            return _error(401, {"message": "a key is needed", "code": "invalid_api_key"}, {})
        if script.refusal and request.method == "POST":
            status, error, headers = script.refusal
            script.refusal = None
            return _error(status, error, headers)
        return None

    async def ready(_: Request) -> Response:
        return JSONResponse({"ready": script.is_ready}, 200 if script.is_ready else 503)

    async def models(request: Request) -> Response:
        return refused(request) or JSONResponse({"object": "list", "data": script.models})

    async def task(request: Request) -> Response:
        body = await request.json()
        script.heard.append((request.url.path, body, dict(request.headers)))
        row = script.rows[request.url.path.rpartition("/")[2]]
        data = [{"index": 0, **row}]
        usage = {"prompt_tokens": 9, "total_tokens": 9}
        answer = {"object": "list", "model": body["model"], "data": data, "usage": usage}
        return refused(request) or JSONResponse(answer)

    async def explain(request: Request) -> Response:
        body = await request.json()
        script.heard.append((request.url.path, body, dict(request.headers)))
        while script.forever and not await request.is_disconnected():
            await asyncio.sleep(0.01)
        if script.forever:
            script.hung_up.set()
        usage = {"prompt_tokens": 9, "total_tokens": 9}
        told = {"object": "explanation", "model": body["model"], **script.why, "usage": usage}
        return refused(request) or JSONResponse(told)

    async def write(request: Request) -> Response:
        body = await request.json()
        script.heard.append((request.url.path, body, dict(request.headers)))
        is_chat = request.url.path.endswith("chat/completions")
        headers = {"x-request-id": "req-7f3a"}
        return refused(request) or StreamingResponse(
            _events(script, body, is_chat), media_type="text/event-stream", headers=headers
        )

    return Starlette(
        routes=[
            *page_routes(),
            Route("/ready", ready),
            Route("/v1/models", models),
            Route("/v1/explain", explain, methods=["POST"]),
            Route("/v1/chat/completions", write, methods=["POST"]),
            Route("/v1/completions", write, methods=["POST"]),
            *(Route(f"/v1/{name}", task, methods=["POST"]) for name in ("classify", "extract", "answer")),
            *(Route(f"/v1/{name}", task, methods=["POST"]) for name in ("translate", "grade")),
        ]
    )


def _error(status: int, error: dict[str, Any], headers: dict[str, str]) -> Response:
    body = {"error": {"type": "invalid_request_error", "param": None, "code": None, **error}}
    return JSONResponse(body, status, {"x-request-id": "req-7f3a", **headers})


async def _events(script: Script, body: dict[str, Any], is_chat: bool) -> AsyncIterator[str]:
    pieces = tokens_of(script.says)
    number = 0
    try:
        while script.forever or number < len(pieces):
            if number == script.breaks:
                yield _event({"error": {"message": "the engine broke", "type": "api_error"}})
                return
            piece = pieces[number % len(pieces)]
            await asyncio.sleep(script.pause)
            yield _event(_chunk(body, is_chat, piece, None, number))
            number += 1
        yield _event(_chunk(body, is_chat, "", "stop", number))
        yield "data: [DONE]\n\n"
    except (asyncio.CancelledError, GeneratorExit):
        script.hung_up.set()
        raise


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


def _chunk(body: dict[str, Any], is_chat: bool, text: str, finish: str | None, number: int) -> dict[str, Any]:
    share = (0.97, 0.55, 0.82, 0.2, 0.99, 0.05)[number % 6]
    others = [(text, share), (" or", (1 - share) / 2), ("或", (1 - share) / 4)]
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
    if is_chat:
        choice["delta"] = {"content": text}
        if body.get("logprobs") and text:
            plain = [{"token": t, "logprob": math.log(p), "bytes": list(t.encode())} for t, p in others]
            choice["logprobs"] = {"content": [{**plain[0], "top_logprobs": plain}]}
    else:
        choice["text"] = text
        if body.get("logprobs") and text:
            top = {t: math.log(p) for t, p in others}
            choice["logprobs"] = {"tokens": [text], "token_logprobs": [math.log(share)], "top_logprobs": [top]}
    return {"id": "x", "object": "chunk", "model": body["model"], "choices": [choice], "usage": None}


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The address of the app, on a thread of its own."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive(), "the server did not start"
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
