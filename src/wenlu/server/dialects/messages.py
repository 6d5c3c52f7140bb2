"""Anthropic's Messages (https://docs.anthropic.com/en/api/messages)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any, Literal

from fastapi import APIRouter
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from wenlu.server.dialects.answers import Whole, whole
from wenlu.server.dialects.documents import MessagesFailure, documented
from wenlu.server.dialects.fields import told_as
from wenlu.server.dialects.messages_fields import Conversation, MessagesRequest
from wenlu.server.dialects.sse import DEADLINE, STOPPED, answered, failed_by_name, named_event
from wenlu.server.dialects.tool_calls import Called, Piece, Said, ToolCalls
from wenlu.server.http.body import read_json
from wenlu.server.http.caller import caller_of
from wenlu.server.http.gateway import Gateway
from wenlu.server.http.stream import EventStream
from wenlu.server.messages import Delta, Event, Finish, Started, Tokenize, Tokens

_NAMES = {
    "prompt.messages": "messages",
    "prompt.tools": "tools",
    "prompt.tool_choice": "tool_choice",
    "prompt": "messages",
    "form.json_schema": "output_config.format.schema",
    "stop": "stop_sequences",
}
Reason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"]


class TextBlock(Struct, frozen=True, kw_only=True):
    type: Literal["text"] = "text"
    text: str


class ToolUseBlock(Struct, frozen=True, kw_only=True):
    type: Literal["tool_use"] = "tool_use"
    id: str
    name: str
    input: dict[str, Any]


class MessagesUsage(Struct, frozen=True):
    """`input_tokens` are all of the prompt, as count_tokens counts them, whether they had been read before or not."""

    input_tokens: int
    output_tokens: int


class AnthropicMessage(Struct, frozen=True, kw_only=True):
    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[dict[str, Any]]
    stop_reason: Reason | None
    stop_sequence: str | None
    usage: MessagesUsage


class TokenCount(Struct, frozen=True):
    input_tokens: int


def routes(gateway: Gateway) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/v1/messages",
        **documented(
            "Write the next message of a chat, as Anthropic's clients ask for it",
            MessagesRequest,
            AnthropicMessage,
            streams=AnthropicMessage,
            failure=MessagesFailure,
        ),
    )
    async def messages(request: Request) -> Response:
        asked, headers = MessagesRequest.of(await read_json(request, gateway.limits))
        asked.check(gateway.limits)
        caller = caller_of(request)
        model = gateway.model(asked.model, "chat")
        answer = _Answer(caller.request, model.name, asked)
        events = gateway.generate(caller, asked.generate(gateway.next_id()))
        if asked.stream:
            stream = _stream(answer, events)
            return EventStream(stream, gateway.limits, failed=failed_by_name, headers=headers)
        with told_as(_NAMES, "messages"):
            found = await whole(events, 1)
        return answered(answer.whole(found), {**headers, STOPPED: "deadline"} if found.was_cut else headers)

    @router.post(
        "/v1/messages/count_tokens",
        **documented("Count a chat's tokens", Conversation, TokenCount, failure=MessagesFailure),
    )
    async def count_tokens(request: Request) -> Response:
        asked, headers = Conversation.of(await read_json(request, gateway.limits))
        asked.check(gateway.limits)
        model = gateway.model(asked.model, "chat")
        with told_as(_NAMES, "messages"):
            reply = await gateway.ask(
                caller_of(request), Tokenize(id=gateway.next_id(), model=model.name, prompt=asked.prompt())
            )
        assert isinstance(reply, Tokens), "messages are answered with tokens"
        return answered(TokenCount(len(reply.ids)), headers)

    return router


async def _stream(answer: _Answer, events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    with told_as(_NAMES, "messages"):
        async with aclosing(events):  # type: ignore[type-var]
            async for told in events:
                match told:
                    case Started():
                        yield answer.open(told)
                    case Delta():
                        chunks = b"".join(answer.chunks(told))
                        if chunks:
                            yield chunks


class _Answer:
    """One answer, while it is written or whole."""

    def __init__(self, request: str, model: str, asked: MessagesRequest) -> None:
        self._request = request
        self._model = model
        self._most = asked.most_calls
        self._calls = ToolCalls(most=asked.most_calls) if asked.calls_tools else None
        self._written = 0
        self._blocks = 0
        self._is_open: Literal["text", "tool_use"] | None = None

    def whole(self, found: Whole) -> AnthropicMessage:
        written = found.answers[0]
        blocks = list(self._whole_blocks(written.text))
        called = any(block["type"] == "tool_use" for block in blocks)
        return AnthropicMessage(
            id=self._id,
            model=self._model,
            content=blocks,
            stop_reason=_reason(written.finish, written.stopped_by, called),
            stop_sequence=written.stopped_by,
            usage=MessagesUsage(found.started.prompt_tokens, written.count),
        )

    def open(self, started: Started) -> bytes:
        message = AnthropicMessage(
            id=self._id,
            model=self._model,
            content=[],
            stop_reason=None,
            stop_sequence=None,
            usage=MessagesUsage(started.prompt_tokens, 0),
        )
        return _event("message_start", message=message) + _event("ping")

    def chunks(self, told: Delta) -> Iterator[bytes]:
        """The events of what a step adds."""
        self._written += told.count
        for piece in self._pieces(told):
            yield from self._piece(piece)
        if told.finish is None:
            return
        yield from self._close()
        called = self._calls is not None and self._calls.count > 0
        ended = {"stop_reason": _reason(told.finish, told.stopped_by, called), "stop_sequence": told.stopped_by}
        if told.deadline:
            yield DEADLINE
        yield _event("message_delta", delta=ended, usage={"output_tokens": self._written})
        yield _event("message_stop")

    @property
    def _id(self) -> str:
        return f"msg_{self._request}"

    def _call_id(self, index: int) -> str:
        return f"toolu_{self._request}{index:02x}"

    def _whole_blocks(self, text: str) -> Iterator[dict[str, Any]]:
        """Text and calls in the order in which they were written."""
        if self._calls is None:
            if text:
                yield {"type": "text", "text": text}
            return
        finder = ToolCalls(most=self._most, whole=True)
        said, name = "", ""
        for piece in (*finder.feed(text), *finder.close(), None):
            if isinstance(piece, Said):
                said += piece.text
                continue
            if said:
                yield {"type": "text", "text": said}
                said = ""
            if isinstance(piece, Called):
                name = piece.name
            elif piece is not None:
                given = json.loads(piece.text)
                yield {"type": "tool_use", "id": self._call_id(piece.index), "name": name, "input": given}

    def _pieces(self, told: Delta) -> list[Piece]:
        if self._calls is None:
            return [Said(told.text)] if told.text else []
        pieces = self._calls.feed(told.text)
        return pieces if told.finish is None else [*pieces, *self._calls.close()]

    def _piece(self, piece: Piece) -> Iterator[bytes]:
        if isinstance(piece, Said):
            if self._is_open != "text":
                yield from self._close()
                yield self._start("text", {"type": "text", "text": ""})
            yield self._delta({"type": "text_delta", "text": piece.text})
        elif isinstance(piece, Called):
            yield from self._close()
            block = {"type": "tool_use", "id": self._call_id(piece.index), "name": piece.name, "input": {}}
            yield self._start("tool_use", block)
        else:
            yield self._delta({"type": "input_json_delta", "partial_json": piece.text})

    def _start(self, kind: Literal["text", "tool_use"], block: dict[str, Any]) -> bytes:
        self._is_open = kind
        self._blocks += 1
        return _event("content_block_start", index=self._blocks - 1, content_block=block)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", index=self._blocks - 1, delta=delta)

    def _close(self) -> Iterator[bytes]:
        if self._is_open is not None:
            self._is_open = None
            yield _event("content_block_stop", index=self._blocks - 1)


def _event(name: str, **data: Any) -> bytes:
    return named_event(name, {"type": name, **data})


def _reason(finish: Finish, stopped_by: str | None, called: bool) -> Reason:
    if finish == "length":
        return "max_tokens"
    if stopped_by is not None:
        return "stop_sequence"
    return "tool_use" if called else "end_turn"
