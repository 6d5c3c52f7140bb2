"""Completions (https://platform.openai.com/docs/api-reference/completions): a text, or ids, to go on with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter
from msgspec import UNSET, Struct, UnsetType
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from wenlu.server.dialects.answers import Whole, Written, whole
from wenlu.server.dialects.documents import documented
from wenlu.server.dialects.drawn import NAMES, Drawn, TokenId, fingerprint
from wenlu.server.dialects.fields import told_as, wrong
from wenlu.server.dialects.logprobs import LegacyLogprobs, LegacyTable
from wenlu.server.dialects.sse import DEADLINE, DONE, STOPPED, answered, event, failed
from wenlu.server.dialects.usage import Usage, usage_of
from wenlu.server.http.body import read_json
from wenlu.server.http.caller import caller_of
from wenlu.server.http.gateway import Caller, Gateway
from wenlu.server.http.stream import EventStream
from wenlu.server.messages import Delta, Finish, Generate, Started, TextPrompt, TokenPrompt
from wenlu.server.settings import Limits

_NAMES = {**NAMES, "prompt.ids": "prompt", "prompt.text": "prompt", "prompt.suffix": "suffix", "prompt": "prompt"}
_AT_ONCE = 4
"""Prompts of one request that are answered side by side."""

Ids = Annotated[list[TokenId], Field(min_length=1)]


class CompletionRequest(Drawn):
    refused: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "messages": "they belong to /v1/chat/completions",
            "max_completion_tokens": "it belongs to /v1/chat/completions; here it is max_tokens",
            "tools": "they belong to /v1/chat/completions",
            "response_format": "it belongs to /v1/chat/completions",
            "top_logprobs": "it belongs to /v1/chat/completions; here logprobs is the number",
        }
    )

    prompt: str | Ids | Annotated[list[str], Field(min_length=1)] | Annotated[list[Ids], Field(min_length=1)]
    suffix: str | None = None
    max_tokens: Annotated[int, Field(ge=0)] = 16
    best_of: Annotated[int, Field(ge=1)] | None = None
    echo: bool = False
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    def check(self, limits: Limits) -> None:
        super().check(limits)
        if len(self.prompts) > limits.inputs:
            raise wrong("prompt", f"{len(self.prompts)} prompts; at most {limits.inputs} are answered at once")
        if self.best_of is not None and self.best_of < self.n:
            raise wrong("best_of", f"{self.best_of}, fewer than n, which is {self.n}")
        if self.best_of is not None and self.best_of > limits.n:
            raise wrong("best_of", f"{self.best_of}; at most {limits.n} answers are written to one prompt")
        if self.stream and self.best_of not in (None, self.n):
            raise wrong("best_of", "the best are known only at the end, so they cannot stream")
        if self.max_tokens == 0 and not self.echo:
            raise wrong("max_tokens", '0 writes nothing; with "echo": true the prompt is told')
        if self.suffix and (self.echo or not all(isinstance(prompt, str) for prompt in self.prompts)):
            raise wrong("suffix", "goes with a prompt that is text, and not with echo")

    @property
    def prompts(self) -> list[str | list[int]]:
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]
        return list(self.prompt)

    def generate(self, prompt: str | list[int], number: int) -> Generate:
        """The request for the engine."""
        is_text = isinstance(prompt, str)
        return Generate(
            id=number,
            model=self.model,
            prompt=TextPrompt(prompt, self.suffix or None) if is_text else TokenPrompt(tuple(prompt)),  # type: ignore[arg-type]
            max_tokens=self.max_tokens,
            n=self.n,
            best_of=self.best_of or 0,
            rules=self.rules(),
            stop=self.stops,
            ignore_end=self.ignore_eos,
            seed=self.drawing_seed,
            logprobs=0 if self.logprobs is None and self.return_token_ids else self.logprobs,
            echo=self.echo or self.return_token_ids,
            form=None if self.guided is None else self.guided.form(),
            salt=self.cache_salt or "",
        )


class CompletionChoice(Struct, frozen=True, kw_only=True):
    """`stop_reason`: the stop string that ended it. The ids are there where `return_token_ids` asks for them."""

    index: int
    text: str
    logprobs: LegacyLogprobs | None = None
    finish_reason: Finish | None = None
    stop_reason: str | UnsetType = UNSET
    token_ids: list[int] | UnsetType = UNSET
    prompt_token_ids: list[int] | UnsetType = UNSET


class Completion(Struct, frozen=True, kw_only=True):
    """A whole answer, or a chunk of one that streams."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: Usage | UnsetType | None = UNSET


def routes(gateway: Gateway) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/v1/completions", **documented("Go on with a text", CompletionRequest, Completion, streams=Completion)
    )
    async def completions(request: Request) -> Response:
        asked, headers = CompletionRequest.of(await read_json(request, gateway.limits))
        asked.check(gateway.limits)
        caller = caller_of(request)
        model = gateway.model(asked.model, "fill-in-the-middle" if asked.suffix else "complete")
        answer = _Answer(f"cmpl-{caller.request}", int(time.time()), model.name, fingerprint(model), asked)
        if asked.stream:
            return EventStream(_stream(answer, gateway, caller), gateway.limits, failed=failed, headers=headers)
        with told_as(_NAMES, "prompt"):
            found = await _all(asked, gateway, caller)
        if any(one.was_cut for one in found):
            headers = {**headers, STOPPED: "deadline"}
        return answered(answer.whole(found), headers)

    return router


async def _all(asked: CompletionRequest, gateway: Gateway, caller: Caller) -> list[Whole]:
    """The answers to each prompt; where one fails, the others are given up."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(prompt: str | list[int]) -> Whole:
        async with places:
            return await whole(gateway.generate(caller, asked.generate(prompt, gateway.next_id())), asked.n)

    tasks = [asyncio.ensure_future(one(prompt)) for prompt in asked.prompts]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _stream(answer: _Answer, gateway: Gateway, caller: Caller) -> AsyncIterator[bytes]:
    """The chunks of one prompt after the other."""
    asked, started, written = answer.asked, [], 0
    with told_as(_NAMES, "prompt"):
        for place, prompt in enumerate(asked.prompts):
            tables = [LegacyTable(asked.logprobs or 0) for _ in range(asked.n)]
            events = gateway.generate(caller, asked.generate(prompt, gateway.next_id()))
            async with aclosing(events):  # type: ignore[type-var]
                async for told in events:
                    match told:
                        case Started():
                            started.append(told)
                            if asked.echo or asked.return_token_ids:
                                yield b"".join(
                                    event(answer.chunk([answer.prompt(place * asked.n + number, told, table)]))
                                    for number, table in enumerate(tables)
                                )
                        case Delta():
                            written += told.count
                            if told.text or told.tokens or told.finish is not None:
                                index = place * asked.n + told.choice
                                yield event(answer.chunk([answer.delta(index, told, tables[told.choice])]))
                            if told.deadline:
                                yield DEADLINE
    if asked.tells_usage:
        yield event(answer.chunk([], usage=usage_of(started, written)))
    yield DONE


@dataclass(frozen=True)
class _Answer:
    """What all chunks of an answer have in common."""

    id: str
    created: int
    model: str
    fingerprint: str
    asked: CompletionRequest

    def chunk(self, choices: list[CompletionChoice], *, usage: Usage | None = None) -> Completion:
        return Completion(
            id=self.id,
            created=self.created,
            model=self.model,
            system_fingerprint=self.fingerprint,
            choices=choices,
            usage=usage if self.asked.tells_usage or usage is not None else UNSET,
        )

    def whole(self, found: list[Whole]) -> Completion:
        """The choices of the first prompt, then those of the next."""
        choices = [
            self._choice(place * self.asked.n + number, one.started, written)
            for place, one in enumerate(found)
            for number, written in enumerate(one.answers)
        ]
        usage = usage_of([one.started for one in found], sum(one.count for one in found))
        return self.chunk(choices, usage=usage)

    def prompt(self, index: int, started: Started, table: LegacyTable) -> CompletionChoice:
        """The first chunk of a choice, where the prompt is told."""
        asked = self.asked
        told = asked.echo and asked.logprobs is not None
        return CompletionChoice(
            index=index,
            text=started.text if asked.echo else "",
            logprobs=table.of(started.prompt) if told else None,
            prompt_token_ids=self._ids(started.prompt),
        )

    def delta(self, index: int, told: Delta, table: LegacyTable) -> CompletionChoice:
        return CompletionChoice(
            index=index,
            text=told.text,
            logprobs=table.of(told.tokens) if told.tokens and self.asked.logprobs is not None else None,
            finish_reason=told.finish,
            stop_reason=UNSET if told.stopped_by is None else told.stopped_by,
            token_ids=self._ids(told.tokens),
        )

    def _choice(self, index: int, started: Started, written: Written) -> CompletionChoice:
        asked = self.asked
        before = started.prompt if asked.echo else ()
        return CompletionChoice(
            index=index,
            text=started.text + written.text if asked.echo else written.text,
            logprobs=None if asked.logprobs is None else LegacyTable(asked.logprobs).of((*before, *written.tokens)),
            finish_reason=written.finish,
            stop_reason=UNSET if written.stopped_by is None else written.stopped_by,
            token_ids=self._ids(written.tokens),
            prompt_token_ids=self._ids(started.prompt),
        )

    def _ids(self, tokens: Any) -> list[int] | UnsetType:
        return [token.id for token in tokens] if self.asked.return_token_ids else UNSET
