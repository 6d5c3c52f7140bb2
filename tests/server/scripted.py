"""A gateway that says what a test wrote down, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
from starlette.types import ASGIApp

from wenlu.server.dialects import DIALECTS
from wenlu.server.http.app import build_app
from wenlu.server.http.errors import ApiError
from wenlu.server.http.gateway import Caller
from wenlu.server.messages import Ability, Asking, Delta, Done, Event, Generate, ModelInfo, Reply, Started, TokenInfo
from wenlu.server.settings import Limits

MODELS = (
    ModelInfo(
        "tiny",
        ("chat", "complete", "embed"),
        created=1_700_000_000,
        context=128,
        parameters=10,
        dimensions=2,
        loaded=True,
    ),
    ModelInfo(
        "reviews",
        ("classify", "extract", "answer", "translate", "grade", "explain"),
        created=1_700_000_000,
        context=64,
        task="text-classification",
        labels=("bad", "good"),
        columns=("text", "pair"),
        parent="tiny",
    ),
)
Script = Sequence[Event | ApiError] | Callable[[Generate], Sequence[Event | ApiError]]


@dataclass
class ScriptedGateway:
    """Answers each request for text with `events`, and each other one with the next of `replies`."""

    events: Script = ()
    replies: list[Reply | ApiError] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)
    models: tuple[ModelInfo, ...] = MODELS
    generated: list[Generate] = field(default_factory=list)
    asked: list[Asking] = field(default_factory=list)
    open_streams: int = 0

    def model(self, name: object, ability: Ability | None = None) -> ModelInfo:
        for model in self.models:
            if model.name == name:
                if ability is not None and ability not in model.abilities:
                    raise ApiError(400, f"{name} cannot {ability}; it can {', '.join(model.abilities)}", param="model")
                return model
        raise ApiError(404, f"there is no model {name!r}", param="model", code="model_not_found")

    def next_id(self) -> int:
        return len(self.generated) + len(self.asked) + 1

    async def generate(self, _caller: Caller, request: Generate) -> AsyncIterator[Event]:
        self.generated.append(request)
        self.open_streams += 1
        try:
            for event in self.events(request) if callable(self.events) else self.events:
                await asyncio.sleep(0)
                if isinstance(event, ApiError):
                    raise event
                yield event
        finally:
            self.open_streams -= 1

    async def ask(self, _caller: Caller, request: Asking) -> Reply:
        self.asked.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, ApiError):
            raise reply
        return reply

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
        """What the application answers to a request."""

        async def ask() -> httpx.Response:
            _CURRENT.gateway = self
            transport = httpx.ASGITransport(app=_application(), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, json=body, headers=headers)

        return asyncio.run(ask())

    def post(self, path: str, body: Any) -> httpx.Response:
        return self.send("POST", path, body)


class _Current:
    """The gateway of the test that runs, so that one application serves them all: to build it takes its time."""

    gateway: ScriptedGateway

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gateway, name)


_CURRENT = _Current()


@cache
def _application() -> ASGIApp:
    return build_app(_CURRENT, dialects=DIALECTS)  # type: ignore[arg-type]


def written(*texts: str, choice: int = 0, **last: Any) -> list[Event]:
    """A stream of one answer in these pieces, a token each, to a prompt of seven."""
    *before, end = [Delta(id=1, choice=choice, text=text, count=1) for text in texts]
    told = Delta(id=1, choice=choice, text=end.text, count=1, **{"finish": "stop", **last})
    return [Started(id=1, prompt_tokens=7, cached_tokens=4, seed=3), *before, told, Done(id=1)]


def token(number: int, text: str | bytes, logprob: float | None = -0.5, **top: float) -> TokenInfo:
    utf8 = text if isinstance(text, bytes) else text.encode()
    others = tuple(TokenInfo(900 + place, name.encode(), chance) for place, (name, chance) in enumerate(top.items()))
    return TokenInfo(number, utf8, logprob, others)


def plain(body: bytes) -> str:
    """The bytes of an answer, without what differs from one request to the next."""
    text = re.sub(r'"created":[0-9]+', '"created":1', body.decode())
    text = re.sub(r"(chatcmpl-|cmpl-|msg_|call_|toolu_)[0-9a-f]{32}", r"\1ID", text)
    return re.sub(r'"system_fingerprint":"fp_[0-9a-f]{10}"', '"system_fingerprint":"fp"', text)
