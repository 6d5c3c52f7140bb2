"""Conversations in the layouts in which people share them, as turns of a role and what it said.

Known by their keys are OpenAI's (`messages` of `role` and `content`), ShareGPT's (`conversations` of `from` and
`value`) and Alpaca's (`instruction`, `input`, `output`, with `system` and `history`). A column that a record keeps as
JSON text is read as what it stands for. A list of plain texts is said in turn: by the user, the assistant, the user, …

A conversation begins with at most one system turn; a tool turn answers an assistant's call, or follows another one.
Several turns of the user, or of the assistant, may follow each other, as they do in group chats and in logs; a chat
template that needs them in alternation says so itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from wenlu.config import did_you_mean
from wenlu.errors import DataError

Role = Literal["system", "user", "assistant", "tool"]

COLUMNS = ("messages", "conversations", "instruction", "input", "output", "system", "history")
"""By which the layouts are known."""

_OPENAI: dict[str, Role] = {
    **{role: role for role in get_args(Role)},
    "developer": "system",
    "function": "tool",
}
_SHAREGPT: dict[str, Role] = {
    **_OPENAI,
    "human": "user",
    "gpt": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "function_response": "tool",
}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What the assistant asks a tool to do.

    Attributes:
        arguments: a JSON object, as text.
        id: by which a tool's answer names the call.
    """

    name: str
    arguments: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says.

    Attributes:
        content: empty only where there are tool calls, or where a tool has nothing to say.
        name: of the speaker or the tool, where it is given.
        call_id: which of the calls a tool's turn answers.
    """

    role: Role
    content: str
    name: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    call_id: str = ""


def conversation(row: Mapping[str, Any]) -> tuple[Turn, ...]:
    """The turns of one row in any of the known layouts.

    Raises:
        DataError: the layout is unknown, or a turn is not as it must be; the message names the turn and the value.
    """
    if row.get("messages") is not None:
        turns = list(_turns(row["messages"], "messages"))
    elif row.get("conversations") is not None:
        turns = list(_turns(row["conversations"], "conversations"))
        if row.get("system") and (not turns or turns[0].role != "system"):
            turns.insert(0, Turn("system", _string(row["system"], "system")))
    elif "instruction" in row:
        turns = list(_alpaca(row))
    else:
        raise DataError(
            "no conversation: a row has messages (OpenAI), conversations (ShareGPT), or instruction and output "
            f"(Alpaca), and this one has {', '.join(map(repr, row)) or 'nothing'}"
        )
    return _checked(turns)


def conversation_in(value: Any, name: str) -> tuple[Turn, ...]:
    """The turns in a column of another `name`: OpenAI's or ShareGPT's list, or plain texts; raises DataError."""
    return _checked(list(_turns(value, name)))


def transcript(turns: Sequence[Turn]) -> str:
    """All that is said, a turn a line: what conversations are cleaned and compared by."""
    return "\n".join(turn.content for turn in turns if turn.content)


def to_openai(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """The turns as OpenAI's `messages`, which chat templates take; `conversation` reads the same turns from them."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        message: dict[str, Any] = {"role": turn.role, "content": turn.content}
        if turn.name:
            message["name"] = turn.name
        if turn.tool_calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in turn.tool_calls
            ]
        if turn.call_id:
            message["tool_call_id"] = turn.call_id
        messages.append(message)
    return messages


def _turns(value: Any, name: str) -> Iterator[Turn]:
    """A list of OpenAI's messages, of ShareGPT's, or of plain texts."""
    messages = _listed(value, name)
    if messages and all(isinstance(message, str) for message in messages):
        return (Turn("assistant" if number % 2 else "user", text) for number, text in enumerate(messages))
    is_sharegpt = any(
        isinstance(message, Mapping) and "from" in message and "role" not in message for message in messages
    )
    return (_sharegpt if is_sharegpt else _openai)(messages)


def _openai(messages: Sequence[Any]) -> Iterator[Turn]:
    for number, message in enumerate(messages, start=1):
        where = f"turn {number}"
        _require_object(message, where)
        role = _role(message.get("role"), _OPENAI, where)
        calls = _listed(message.get("tool_calls") or [], f"{where}, tool_calls")
        if message.get("function_call"):
            calls = [*calls, {"function": message["function_call"]}]
        yield Turn(
            role,
            _content(message.get("content"), where),
            _string(message.get("name") or "", f"{where}, name"),
            tuple(_call(call, where) for call in calls),
            _string(message.get("tool_call_id") or "", f"{where}, tool_call_id"),
        )


def _sharegpt(messages: Sequence[Any]) -> Iterator[Turn]:
    for number, message in enumerate(messages, start=1):
        where = f"turn {number}"
        _require_object(message, where)
        speaker = message.get("from")
        role = _role(speaker, _SHAREGPT, where)
        if speaker != "function_call":
            yield Turn(role, _content(message.get("value"), where))
            continue
        calls = _parsed(message.get("value"), where)
        yield Turn(role, "", tool_calls=tuple(_call({"function": call}, where) for call in _as_list(calls)))


def _alpaca(row: Mapping[str, Any]) -> Iterator[Turn]:
    if row.get("system"):
        yield Turn("system", _string(row["system"], "system"))
    for number, pair in enumerate(_listed(row.get("history") or [], "history"), start=1):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise DataError(f"history {number}: {_short(pair)} is not a pair of what was asked and what was answered")
        yield Turn("user", _string(pair[0], f"history {number}"))
        yield Turn("assistant", _string(pair[1], f"history {number}"))
    asked = [_string(row.get(name) or "", name) for name in ("instruction", "input")]
    yield Turn("user", "\n".join(part for part in asked if part))
    yield Turn("assistant", _string(row.get("output") or "", "output"))


def _checked(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    if not turns:
        raise DataError("no conversation: it has no turns; leave the row out")
    _check(turns)
    return tuple(turns)


def _check(turns: Sequence[Turn]) -> None:
    for number, turn in enumerate(turns, start=1):
        where = f"turn {number} ({turn.role})"
        before = turns[number - 2] if number > 1 else None
        if turn.role == "system" and before:
            raise DataError(f"{where}: comes after others, {turn.content[:60]!r}; the system speaks first and once")
        if turn.tool_calls and turn.role != "assistant":
            raise DataError(f"{where}: calls the tool {turn.tool_calls[0].name!r}, which only the assistant does")
        if turn.role == "tool" and not (before and (before.tool_calls or before.role == "tool")):
            raise DataError(f"{where}: answers no call, {turn.content[:60]!r}; the turn before it calls no tool")
        if not turn.content.strip() and not turn.tool_calls and turn.role != "tool":
            raise DataError(f"{where}: empty, {turn.content!r}; fill it or leave the row out")


def _role(value: Any, known: Mapping[str, Role], where: str) -> Role:
    if not isinstance(value, str) or value not in known:
        raise DataError(f"{where}: the role {_short(value)} is unknown; {did_you_mean(str(value), list(known))}")
    return known[value]


def _content(value: Any, where: str) -> str:
    """Text, or parts of which each is text."""
    match value:
        case None:
            return ""
        case str():
            return value
        case list() | tuple():
            return "".join(_part(part, where) for part in value)
    raise DataError(f"{where}: its content is {_short(value)}, neither text nor a list of parts")


def _part(part: Any, where: str) -> str:
    match part:
        case str():
            return part
        case {"type": "text", "text": str() as text}:
            return text
    raise DataError(f"{where}: a part of its content is {_short(part)}; only parts of type text are read")


def _call(value: Any, where: str) -> ToolCall:
    match value:
        case {"function": {"name": str() as name} as function} if name:
            arguments = function.get("arguments", {})
            if not isinstance(arguments, str):
                arguments = json.dumps(arguments, ensure_ascii=False)
            return ToolCall(name, arguments, _string(value.get("id") or "", f"{where}, id of a call"))
    raise DataError(f"{where}: the tool call {_short(value)} has no function with a name")


def _listed(value: Any, where: str) -> list[Any]:
    parsed = _parsed(value, where) if isinstance(value, str) else value
    if not isinstance(parsed, list | tuple):
        raise DataError(f"{where}: {_short(value)} is not a list")
    return list(parsed)


def _parsed(value: Any, where: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: {_short(value)} is not JSON ({error})") from error


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _require_object(value: Any, where: str) -> None:
    if not isinstance(value, Mapping):
        raise DataError(f"{where}: {_short(value)} is not an object with a role and what it says")


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: {_short(value)} is not text")
    return value


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)[:60]
