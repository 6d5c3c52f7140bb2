"""The gateway: an engine asked in a caller's name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from wenlu.server.http.errors import ApiError
from wenlu.server.http.gateway import Caller
from wenlu.server.link.engine import EngineGone, EngineLink
from wenlu.server.messages import Ability, Asking, Event, Failed, Fault, Generate, ModelInfo, Reply
from wenlu.server.settings import Limits

_STATUS: dict[Fault, tuple[int, str]] = {
    "request": (400, "invalid_request"),
    "context": (400, "context_length_exceeded"),
    "model": (404, "model_not_found"),
    "busy": (503, "model_busy"),
    "deadline": (503, "deadline_exceeded"),
    "engine": (500, "engine_failed"),
}
_AGAIN_SECONDS = 5.0
"""After which a model may have found memory, or a broken engine started again."""


class Served:
    """A `Gateway` to an engine, wherever that runs."""

    def __init__(self, link: EngineLink, limits: Limits) -> None:
        self.link = link
        self.limits = limits

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        return self.link.models

    def model(self, name: object, ability: Ability | None = None) -> ModelInfo:
        found = next((model for model in self.models if model.name == name), None)
        if found is None:
            known = ", ".join(model.name for model in self.models)
            asked = repr(name[:120]) if isinstance(name, str) else type(name).__name__
            message = f"model is {asked}; served are: {known}"
            raise ApiError(404, message, param="model", code="model_not_found")
        if ability is not None and ability not in found.abilities:
            able = ", ".join(model.name for model in self.models if ability in model.abilities) or "none"
            message = f"the model {found.name} cannot {ability}; it can: {', '.join(found.abilities)}; models that "
            raise ApiError(400, f"{message}{ability}: {able}", param="model", code="model_cannot")
        return found

    def next_id(self) -> int:
        return self.link.next_id()

    async def generate(self, caller: Caller, request: Generate) -> AsyncIterator[Event]:  # noqa: ARG002
        try:
            async with aclosing(self.link.generate(request)) as events:  # type: ignore[type-var]
                async for event in events:
                    if isinstance(event, Failed):
                        raise _error(event)
                    yield event
        except EngineGone as error:
            raise _gone() from error

    async def ask(self, caller: Caller, request: Asking) -> Reply:  # noqa: ARG002
        try:
            reply = await self.link.ask(request)
        except EngineGone as error:
            raise _gone() from error
        if isinstance(reply, Failed):
            raise _error(reply)
        return reply


def _error(failed: Failed) -> ApiError:
    status, code = _STATUS[failed.fault]
    again = _AGAIN_SECONDS if status == 503 else None
    return ApiError(status, failed.message, param=failed.param, code=code, retry_after=again)


def _gone() -> ApiError:
    message = "the engine broke while it answered and starts again; ask once more"
    return ApiError(503, message, code="engine_gone", retry_after=_AGAIN_SECONDS)
