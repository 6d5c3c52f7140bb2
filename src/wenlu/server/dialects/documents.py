"""What the OpenAPI document says of the routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from wenlu.server.dialects.fields import Asked


class Problem(Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str | None


class Failure(Struct, frozen=True):
    """Every failure of OpenAI's dialects and of Wenlu's own."""

    error: Problem


class MessagesProblem(Struct, frozen=True):
    type: str
    message: str


class MessagesFailure(Struct, frozen=True):
    """Every failure of Anthropic's dialect."""

    type: str
    error: MessagesProblem


_FAILURES = {
    400: "The request is wrong; `param` names the field.",
    401: "No key, or one that is not known.",
    403: "The key may not do this, or the request comes from another page.",
    404: "There is no such model.",
    408: "The request did not arrive in time.",
    413: "The request is too large.",
    415: "The request is not JSON.",
    421: "The server is not called by this name.",
    429: "Too many requests; `Retry-After` says when to come again.",
    500: "The model's process failed.",
    503: "There is no room for it now, or the model's process is starting.",
}


def documented(
    summary: str,
    asked: type[Asked] | None,
    told: type[Struct],
    *,
    streams: type[Struct] | None = None,
    failure: type[Struct] = Failure,
    names: Sequence[str] = (),
) -> dict[str, Any]:
    """Arguments of a route that say what it reads and what it answers; `names` are in its path."""
    content: dict[str, Any] = {"application/json": {"schema": told_schema(told)}}
    if streams is not None:
        about = f"JSON of a chunk ({streams.__name__}) or of a failure; or [DONE], the end of OpenAI's streams."
        parts = {"event": {"type": "string"}, "data": {"type": "string", "description": about}}
        content["text/event-stream"] = {"schema": {"type": "object", "properties": parts, "required": ["data"]}}
    wrong = {"application/json": {"schema": told_schema(failure)}}
    responses: dict[int | str, Any] = {200: {"description": "The answer.", "content": content}}
    responses |= {status: {"description": about, "content": wrong} for status, about in _FAILURES.items()}
    extra: dict[str, Any] = {"responses": {str(status): response for status, response in responses.items()}}
    if names:
        text = {"type": "string"}
        extra["parameters"] = [{"name": name, "in": "path", "required": True, "schema": text} for name in names]
    if asked is not None:
        body = {"required": True, "content": {"application/json": {"schema": asked_schema(asked)}}}
        extra["requestBody"] = body
    return {"summary": summary, "response_model": None, "openapi_extra": extra}


def asked_schema(asked: type[Asked]) -> dict[str, Any]:
    """Of a request: a field that need not be there may be `null`, and those that are ignored may be there."""
    schema = _without_references(asked.model_json_schema())
    required = schema.get("required", [])
    properties = {
        name: field if name in required else {"anyOf": [field, {"type": "null"}]}
        for name, field in schema.get("properties", {}).items()
    }
    for name, allowed in asked.ignored.items():
        properties[name] = {"enum": [*allowed, None]} if allowed else {}
    return {**schema, "properties": properties}


def told_schema(told: type[Struct]) -> dict[str, Any]:
    return _without_references(msgspec.json.schema(told))


def _without_references(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema in one piece, since references are relative to the whole document."""
    definitions = schema.get("$defs", {})

    def inlined(part: Any) -> Any:
        if isinstance(part, Mapping):
            name = part.get("$ref")
            if isinstance(name, str):
                rest = {key: value for key, value in part.items() if key != "$ref"}
                return inlined({**definitions[name.rpartition("/")[2]], **rest})
            return {key: inlined(value) for key, value in part.items() if key not in ("$defs", "discriminator")}
        return [inlined(item) for item in part] if isinstance(part, list) else part

    whole: dict[str, Any] = inlined(schema)
    return whole
