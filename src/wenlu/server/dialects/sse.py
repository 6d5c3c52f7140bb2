"""Server-sent events, and JSON as bytes."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from wenlu.server.http.errors import ApiError

DONE = b"data: [DONE]\n\n"
DEADLINE = b": x-stop: deadline\n\n"
"""A comment, which no client takes for an event: an answer was ended by its deadline."""
STOPPED = "x-stop"

_encode = msgspec.json.Encoder().encode


def event(data: Any) -> bytes:
    """An event without a name, as OpenAI's dialects have them."""
    return b"data: %b\n\n" % _encode(data)


def named_event(name: str, data: Any) -> bytes:
    """An event with a name, as Anthropic's dialect has them."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode(data))


def failed(error: ApiError) -> bytes:
    """A failure in the middle of a stream: the clients raise at an event with `error`. No `[DONE]` follows."""
    return event(error.body("/v1"))


def failed_by_name(error: ApiError) -> bytes:
    return named_event("error", error.body("/v1/messages"))


def answered(data: Any, headers: dict[str, str]) -> Response:
    """A whole answer."""
    return Response(_encode(data), media_type="application/json", headers=headers)
