"""The messages of a chat, from OpenAI's shape to what a chat template reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from wenlu.server.dialects.fields import Part, refused, shown, wrong
from wenlu.server.http.errors import ApiError
from wenlu.server.messages import PICTURE

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]
Content = str | list[dict[str, Any]] | None
_TEXTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
"""Kinds of parts that are text, with the field that holds it."""
_PICTURES = ("image_url", "input_image", "image")
_KINDS = {
    **dict.fromkeys(_PICTURES, "images"),
    "input_audio": "sound",
    "video_url": "videos",
    "file": "files",
    "document": "files",
}


class CalledFunction(Part):
    name: Name
    arguments: str


class Call(Part):
    id: str
    type: Literal["function"] = "function"
    function: CalledFunction
    index: int | None = None


class Message(Part):
    """`content` is text, or parts of text; an assistant that calls functions need not say anything."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content = None
    name: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    function_call: None = None
    audio: None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None


def template_messages(messages: Sequence[Message], pictures: list[str] | None = None) -> tuple[dict[str, Any], ...]:
    """`developer` is what newer models call `system`; what a tool returned carries the name of the function that was
    called, which templates ask for.

    Args:
        pictures: where the data URLs of what users show are added; None: pictures are refused.

    Raises ApiError.
    """
    called: dict[str, str] = {}
    written = []
    for number, message in enumerate(messages):
        where = f"messages.{number}"
        calls = message.tool_calls or []
        if calls and message.role != "assistant":
            raise wrong(f"{where}.tool_calls", f"only an assistant calls functions, not {message.role}")
        text = text_of(message.content, f"{where}.content", pictures if message.role == "user" else None)
        if text is None and message.refusal is not None:
            text = message.refusal
        if text is None and not calls:
            raise ApiError(
                400, f"{where}.content is required", param=f"{where}.content", code="missing_required_parameter"
            )
        told: dict[str, Any] = {
            "role": "system" if message.role == "developer" else message.role,
            "content": text or "",
        }
        if message.reasoning_content is not None:
            told["reasoning_content"] = message.reasoning_content
        if calls:
            told["tool_calls"] = [
                _call(call, f"{where}.tool_calls.{place}.function.arguments") for place, call in enumerate(calls)
            ]
            called |= {call.id: call.function.name for call in calls}
        name = message.name
        if message.role == "tool":
            if message.tool_call_id is None:
                raise wrong(f"{where}.tool_call_id", "is required: which call this is the result of")
            told["tool_call_id"] = message.tool_call_id
            name = name or called.get(message.tool_call_id)
        if name is not None:
            told["name"] = name
        written.append(told)
    return tuple(written)


def text_of(content: Content, where: str, pictures: list[str] | None = None) -> str | None:
    """The text of a message, its parts on lines of their own; raises ApiError for other parts.

    Args:
        pictures: where the data URLs of pictures are added, each of which stands in the text as `PICTURE`.
    """
    if content is None or isinstance(content, str):
        return content
    return "\n".join(_part(part, f"{where}.{place}", pictures) for place, part in enumerate(content))


def _part(part: dict[str, Any], where: str, pictures: list[str] | None) -> str:
    kind = part.get("type")
    if kind in _PICTURES and pictures is not None:
        pictures.append(_picture(part, kind, where))
        return PICTURE
    if kind not in _TEXTS:
        known = _KINDS.get(kind) if isinstance(kind, str) else None
        if known is not None:
            what = "images are what a user shows" if known == "images" else f"{known} are not read by any model here"
            raise refused(f"{where}.type", f"{where}: {what}; send text")
        raise wrong(f"{where}.type", f'{shown(kind)}; the parts of a message are {{"type": "text", "text": …}}')
    field = _TEXTS[kind]
    text = part.get(field)
    if not isinstance(text, str):
        raise wrong(f"{where}.{field}", f"must be a string, not {shown(text)}")
    extra = next((name for name in part if name not in ("type", field, "cache_control", "annotations")), None)
    if extra is not None:
        raise refused(f"{where}.{extra}", f"{where}.{extra}: unknown parameter", code="unknown_parameter")
    return text


def _picture(part: dict[str, Any], kind: str, where: str) -> str:
    """The data URL of a part, in OpenAI's shapes or in Anthropic's."""
    told, field = part.get(kind), kind
    if kind == "image":
        told, field = part.get("source"), "source"
        if isinstance(told, dict) and told.get("type") == "base64":
            told = f"data:{told.get('media_type')};base64,{told.get('data')}"
    elif kind == "input_image":
        told, field = part.get("image_url"), "image_url"
    if isinstance(told, dict):
        told, field = told.get("url"), f"{field}.url"
    if not isinstance(told, str):
        raise wrong(f"{where}.{field}", f"must be a data URL, not {shown(told)}")
    if not told.startswith("data:"):
        raise refused(
            f"{where}.{field}",
            f"{where}.{field}: addresses are not fetched; send the picture itself: data:image/png;base64,…",
        )
    return told


def _call(call: Call, where: str) -> dict[str, Any]:
    try:
        arguments = json.loads(call.function.arguments or "{}")
    except ValueError as error:
        raise wrong(where, f"is not JSON: {shown(call.function.arguments)}") from error
    if not isinstance(arguments, dict):
        raise wrong(where, f"must be a JSON object, not {shown(call.function.arguments)}")
    return {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": arguments}}
