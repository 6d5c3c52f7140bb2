"""Chat Completions (https://platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from wenlu.server.dialects.answers import Whole, Written, whole
from wenlu.server.dialects.chat_fields import ChatRequest
from wenlu.server.dialects.documents import documented
from wenlu.server.dialects.drawn import NAMES, fingerprint
from wenlu.server.dialects.fields import told_as
from wenlu.server.dialects.logprobs import ChatLogprobs, chat_logprobs
from wenlu.server.dialects.sse import DEADLINE, DONE, STOPPED, answered, event, failed
from wenlu.server.dialects.tool_calls import Arguments, Called, Piece, Said, ToolCalls, calls_in
from wenlu.server.dialects.usage import Usage, usage_of
from wenlu.server.http.body import read_json
from wenlu.server.http.caller import caller_of
from wenlu.server.http.gateway import Gateway
from wenlu.server.http.stream import EventStream
from wenlu.server.messages import Delta, Event, Started

_NAMES = {
    **NAMES,
    "prompt.messages": "messages",
    "prompt.tools": "tools",
    "prompt.tool_choice": "tool_choice",
    "prompt.parallel": "parallel_tool_calls",
    "prompt.variables": "chat_template_kwargs",
    "prompt.continues": "continue_final_message",
    "prompt": "messages",
    "logprobs": "top_logprobs",
}
Reason = Literal["stop", "length", "tool_calls"]


class Function(Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str | None = None
    arguments: str


class ToolCall(Struct, frozen=True, kw_only=True):
    id: str
    type: Literal["function"] = "function"
    function: Function


class Message(Struct, frozen=True, kw_only=True):
    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: list[ToolCall] | UnsetType = UNSET


class Choice(Struct, frozen=True, kw_only=True):
    """`stop_reason`: the stop string that ended it. `token_ids`: where `return_token_ids` asks for them."""

    index: int
    message: Message
    logprobs: ChatLogprobs | None
    finish_reason: Reason
    stop_reason: str | UnsetType = UNSET
    token_ids: list[int] | UnsetType = UNSET


class ChatCompletion(Struct, frozen=True, kw_only=True):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[Choice]
    usage: Usage
    prompt_token_ids: list[int] | UnsetType = UNSET


class ToolCallDelta(Struct, frozen=True, kw_only=True, omit_defaults=True):
    index: int
    id: str | None = None
    type: Literal["function"] | None = None
    function: Function


class MessageDelta(Struct, frozen=True, kw_only=True, omit_defaults=True):
    role: Literal["assistant"] | None = None
    content: str | None = None
    tool_calls: list[ToolCallDelta] | None = None


class ChunkChoice(Struct, frozen=True, kw_only=True):
    index: int
    delta: MessageDelta
    logprobs: ChatLogprobs | None = None
    finish_reason: Reason | None = None
    stop_reason: str | UnsetType = UNSET
    token_ids: list[int] | UnsetType = UNSET


class Chunk(Struct, frozen=True, kw_only=True):
    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: Usage | UnsetType | None = UNSET
    prompt_token_ids: list[int] | UnsetType = UNSET


def routes(gateway: Gateway) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/v1/chat/completions",
        **documented("Write the next message of a chat", ChatRequest, ChatCompletion, streams=Chunk),
    )
    async def chat_completions(request: Request) -> Response:
        asked, headers = ChatRequest.of(await read_json(request, gateway.limits))
        asked.check(gateway.limits)
        caller = caller_of(request)
        model = gateway.model(asked.model, "chat")
        answer = _Answer(f"chatcmpl-{caller.request}", int(time.time()), model.name, fingerprint(model), asked)
        events = gateway.generate(caller, asked.generate(gateway.next_id()))
        if asked.stream:
            return EventStream(_stream(answer, events), gateway.limits, failed=failed, headers=headers)
        with told_as(_names(asked), "messages"):
            found = await whole(events, asked.n)
        return answered(answer.whole(found), {**headers, STOPPED: "deadline"} if found.was_cut else headers)

    return router


def _names(asked: ChatRequest) -> dict[str, str]:
    return _NAMES if asked.max_completion_tokens is None else {**_NAMES, "max_tokens": "max_completion_tokens"}


async def _stream(answer: _Answer, events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    """The chunks, each an event; the first of each choice says whose message it is."""
    asked, started, written = answer.asked, [], 0
    choices = [_Choice(answer, number) for number in range(asked.n)]
    with told_as(_names(asked), "messages"):
        async with aclosing(events):  # type: ignore[type-var]
            async for told in events:
                match told:
                    case Started():
                        started.append(told)
                        yield b"".join(choice.open(told) for choice in choices)
                    case Delta():
                        written += told.count
                        chunks = b"".join(choices[told.choice].chunks(told))
                        if chunks:
                            yield chunks
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
    asked: ChatRequest

    def call_id(self, choice: int, index: int) -> str:
        return f"call_{self.id.removeprefix('chatcmpl-')}{choice:02x}{index:02x}"

    def chunk(self, choices: list[ChunkChoice], *, usage: Usage | None = None, prompt: Started | None = None) -> Chunk:
        return Chunk(
            id=self.id,
            created=self.created,
            model=self.model,
            system_fingerprint=self.fingerprint,
            choices=choices,
            usage=usage if self.asked.tells_usage else UNSET,
            prompt_token_ids=UNSET if prompt is None else [token.id for token in prompt.prompt],
        )

    def whole(self, found: Whole) -> ChatCompletion:
        return ChatCompletion(
            id=self.id,
            created=self.created,
            model=self.model,
            system_fingerprint=self.fingerprint,
            choices=[self._choice(number, written) for number, written in enumerate(found.answers)],
            usage=usage_of([found.started], found.count),
            prompt_token_ids=[token.id for token in found.started.prompt] if self.asked.return_token_ids else UNSET,
        )

    def _choice(self, number: int, written: Written) -> Choice:
        asked = self.asked
        said, calls = calls_in(written.text, most=asked.most_calls) if asked.calls_tools else (written.text, [])
        told = [
            ToolCall(id=self.call_id(number, index), function=Function(name=name, arguments=arguments))
            for index, (name, arguments) in enumerate(calls)
        ]
        return Choice(
            index=number,
            message=Message(content=None if told and not said else said, tool_calls=told or UNSET),
            logprobs=chat_logprobs(written.tokens) if asked.logprobs else None,
            finish_reason="tool_calls" if told and written.finish == "stop" else written.finish,
            stop_reason=UNSET if written.stopped_by is None else written.stopped_by,
            token_ids=[token.id for token in written.tokens] if asked.return_token_ids else UNSET,
        )


class _Choice:
    """One of the answers while it is written."""

    def __init__(self, answer: _Answer, number: int) -> None:
        self._answer = answer
        self._number = number
        self._calls = ToolCalls(most=answer.asked.most_calls) if answer.asked.calls_tools else None

    def open(self, started: Started) -> bytes:
        first = ChunkChoice(index=self._number, delta=MessageDelta(role="assistant", content=""))
        prompt = started if self._answer.asked.return_token_ids else None
        return event(self._answer.chunk([first], prompt=prompt))

    def chunks(self, told: Delta) -> Iterable[bytes]:
        """An event for each part of what a step adds; the tokens stand in the first."""
        asked = self._answer.asked
        deltas = [self._delta(piece) for piece in self._pieces(told)]
        if told.tokens and not deltas:
            deltas = [MessageDelta()]
        for place, delta in enumerate(deltas):
            tokens = told.tokens if place == 0 else ()
            choice = ChunkChoice(
                index=self._number,
                delta=delta,
                logprobs=chat_logprobs(tokens) if tokens and asked.logprobs else None,
                token_ids=[token.id for token in tokens] if asked.return_token_ids else UNSET,
            )
            yield event(self._answer.chunk([choice]))
        if told.finish is None:
            return
        called = self._calls is not None and self._calls.count > 0
        last = ChunkChoice(
            index=self._number,
            delta=MessageDelta(),
            finish_reason="tool_calls" if called and told.finish == "stop" else told.finish,
            stop_reason=UNSET if told.stopped_by is None else told.stopped_by,
        )
        yield event(self._answer.chunk([last]))
        if told.deadline:
            yield DEADLINE

    def _pieces(self, told: Delta) -> list[Piece]:
        if self._calls is None:
            return [Said(told.text)] if told.text else []
        pieces = self._calls.feed(told.text)
        return pieces if told.finish is None else [*pieces, *self._calls.close()]

    def _delta(self, piece: Piece) -> MessageDelta:
        match piece:
            case Said(text):
                return MessageDelta(content=text)
            case Called(index, name):
                call = self._answer.call_id(self._number, index)
                function = Function(name=name, arguments="")
                return MessageDelta(
                    tool_calls=[ToolCallDelta(index=index, id=call, type="function", function=function)]
                )
            case Arguments(index, text):
                return MessageDelta(tool_calls=[ToolCallDelta(index=index, function=Function(arguments=text))])
