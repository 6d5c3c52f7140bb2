"""The gateway: an engine asked in a caller's name, each request in its turn and within its time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial

from msgspec import Struct, to_builtins
from msgspec.msgpack import Encoder
from msgspec.structs import replace

from wenlu.server.http.admission import Admission, stopping
from wenlu.server.http.alarm import Alarm
from wenlu.server.http.errors import ApiError
from wenlu.server.http.gateway import Caller
from wenlu.server.http.logs import told
from wenlu.server.http.metrics import Metrics
from wenlu.server.http.rates import Rates
from wenlu.server.http.turn import Turn
from wenlu.server.link.engine import EngineGone, EngineLink
from wenlu.server.messages import (
    Ability,
    Answers,
    Asking,
    Delta,
    Done,
    Event,
    Explain,
    Explained,
    Failed,
    Fault,
    Generate,
    ModelInfo,
    Reply,
    Vectors,
)
from wenlu.server.settings import EngineConfig, Limits

PLACES = EngineConfig().max_batch

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
GRACE_SECONDS = 2.0
_TOKEN_BYTES = 3
"""Of a prompt, about, in English and in Chinese alike: what waits is counted before it is encoded."""
_ENCODER = Encoder()
_log = logging.getLogger("wenlu.server")


class Served:
    """A `Gateway` to an engine, wherever that runs.

    Args:
        places: answers that it writes at a time.
        grace_seconds: beyond its deadline, after which an engine that has not ended an answer is not waited for.
        tells: write prompts and answers to the log.
    """

    def __init__(
        self,
        link: EngineLink,
        limits: Limits,
        *,
        places: int = PLACES,
        grace_seconds: float = GRACE_SECONDS,
        tells: bool = False,
    ) -> None:
        self.link = link
        self.limits = limits
        self.metrics = Metrics()
        self.admission = Admission(limits, places)
        self.explanations = Admission(limits, 1)  # those that wait take nobody's place
        self.rates = Rates(limits)
        self._grace_seconds = grace_seconds
        self._tells = tells
        self.metrics.watch(link)
        self.metrics.running.set_function(lambda: self.admission.running)
        self.metrics.waiting.set_function(lambda: self.admission.waiting + self.explanations.waiting)

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        return self.link.models

    def model(self, name: object, ability: Ability | None = None) -> ModelInfo:
        if not self.models:
            raise ApiError(503, "the models are being loaded", code="loading", retry_after=_AGAIN_SECONDS)
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

    def reason_to_wait(self) -> str | None:
        """Why a request would not be answered now; None: it would."""
        if self.admission.closed:
            return "the server is stopping"
        if not self.link.is_ready:
            return "the engine is starting"
        return "as many requests wait as may" if self.admission.is_full else None

    def next_id(self) -> int:
        return self.link.next_id()

    async def generate(self, caller: Caller, request: Generate) -> AsyncIterator[Event]:
        turn = Turn(self._label(request.model), self.metrics)
        answers = max(request.n, request.best_of)
        self._tell(caller, request)
        try:
            async with self._placed(answers, request.prompt, turn):
                asked = self._within_limits(caller, request)
                async with aclosing(self._told(asked, turn)) as events:
                    async for event in events:
                        turn.hears(event)
                        self._tell(caller, event)
                        yield event
            turn.ends()
        except BaseException as error:
            turn.breaks(error)
            raise
        finally:
            self.rates.pay(caller.key, turn.tokens)

    async def ask(self, caller: Caller, request: Asking) -> Reply:
        turn = Turn(self._label(request.model), self.metrics)
        self._tell(caller, request)
        try:
            async with self._lane(request), self._placed(1, request, turn), asyncio.timeout(self.limits.answer_seconds):
                reply = await self.link.ask(request)
        except BaseException as error:
            known = self._known(error)
            turn.breaks(known or error)
            if known is None:
                raise
            raise known from error
        if isinstance(reply, Failed):
            raise _error(reply)
        self._tell(caller, reply)
        if isinstance(reply, Vectors | Answers | Explained):
            self.rates.pay(caller.key, reply.tokens)
            turn.reads(reply.tokens)
        turn.ends()
        return reply

    @asynccontextmanager
    async def _lane(self, request: Asking) -> AsyncIterator[None]:
        """An explanation's turn among explanations, before it asks for a place among all."""
        if not isinstance(request, Explain):
            yield
            return
        async with self.explanations.place(1, _tokens_about(request)):
            yield

    @asynccontextmanager
    async def _placed(self, answers: int, asked: Struct, turn: Turn) -> AsyncIterator[None]:
        async with self.admission.place(answers, _tokens_about(asked)):
            turn.enters()
            yield

    def _within_limits(self, caller: Caller, request: Generate) -> Generate:
        """The request as the engine gets it; no key feels what another one's prompts left behind."""
        most = self.limits.answer_seconds
        seconds = most if request.deadline_seconds is None else min(most, request.deadline_seconds)
        salt = f"{caller.salt}/{request.salt}" if caller.salt else request.salt
        return replace(request, salt=salt, deadline_seconds=seconds)

    async def _told(self, request: Generate, turn: Turn) -> AsyncGenerator[Event, None]:
        """What the engine says; an end by the clock where it does not keep to its deadline itself."""
        assert request.deadline_seconds is not None, "every request has one"
        deadline = asyncio.get_running_loop().time() + request.deadline_seconds + self._grace_seconds
        open_choices = set(range(request.n))
        async with aclosing(self.link.generate(request)) as events:  # type: ignore[type-var]
            with Alarm(deadline) as alarm:
                following = partial(anext, events, None)
                while True:
                    try:
                        event = await alarm.wait(following)
                    except TimeoutError as error:
                        if not turn.has_begun:
                            raise _late(request.deadline_seconds) from error
                        break
                    except EngineGone as error:
                        raise (stopping() if self.admission.closed else _gone()) from error
                    if event is None:
                        return
                    if isinstance(event, Failed):
                        raise _error(event)
                    if isinstance(event, Delta) and event.finish is not None:
                        open_choices.discard(event.choice)
                    yield event
        for choice in sorted(open_choices):
            yield Delta(id=request.id, choice=choice, text="", count=0, finish="length", deadline=True)
        yield Done(id=request.id)

    def _tell(self, caller: Caller, message: Struct) -> None:
        if self._tells:
            _log.info("told", extra=told(id=caller.request, message=to_builtins(message)))

    def _label(self, model: str) -> str:
        return self.metrics.label(model, self.models)

    def _known(self, error: BaseException) -> ApiError | None:
        match error:
            case TimeoutError():
                return _late(self.limits.answer_seconds)
            case EngineGone():
                return stopping() if self.admission.closed else _gone()
        return None


def _tokens_about(asked: Struct) -> int:
    return len(_ENCODER.encode(asked)) // _TOKEN_BYTES


def _late(seconds: float) -> ApiError:
    message = f"nothing was answered within {seconds:g} seconds"
    return ApiError(503, message, code="deadline_exceeded", retry_after=_AGAIN_SECONDS)


def _error(failed: Failed) -> ApiError:
    status, code = _STATUS[failed.fault]
    again = _AGAIN_SECONDS if status == 503 else None
    return ApiError(status, failed.message, param=failed.param, code=code, retry_after=again)


def _gone() -> ApiError:
    message = "the engine broke while it answered and starts again; ask once more"
    return ApiError(503, message, code="engine_gone", retry_after=_AGAIN_SECONDS)
