"""Chat templates: messages in roles to the text, and the token ids, that a chat model was trained on.

A template writes special tokens around what people wrote. Text that only looks like a special token must not become
one, or whoever writes a message could open a turn in another's name. So the messages are marked before they are
rendered: a character that no text has breaks every special token in them, or stands beside it where the template takes
the token out, and is taken out again afterwards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from wenlu.errors import DataError, WeightsError
from wenlu.tokenizers.rendering import render
from wenlu.tokenizers.template_marks import Fences, breaker, first_breaker, opening_breaker

Message = Mapping[str, Any]
_ROLE = re.compile(r"[\w-]{1,64}")
_MARKS = tuple(map(chr, range(0xFDD0, 0xFDF0)))
"""Characters that Unicode promises never to assign."""
_GENERATION = re.compile(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}")
_PROBE = "qwzx"
_REASONING = ("reasoning_content", "thinking", "reasoning")


@dataclass(frozen=True)
class Special:
    """A special token, and whether it takes the white space beside it."""

    content: str
    lstrip: bool = False
    rstrip: bool = False

    @property
    def pattern(self) -> str:
        return (r"\s*" if self.lstrip else "") + re.escape(self.content) + (r"\s*" if self.rstrip else "")


@dataclass(frozen=True)
class Piece:
    """A part of a rendered conversation: text, or one special token that the template wrote."""

    text: str
    special: bool


@dataclass(frozen=True)
class ChatTemplate:
    """A Jinja template (https://jinja.palletsprojects.com/templates) as `transformers` applies it.

    Attributes:
        source: the template.
        tool_source: takes its place where there are tools.
        variables: `bos_token`, `eos_token` and so on.
        specials: the tokenizer's special tokens.
        where: names the template in messages.
    """

    source: str
    tool_source: str | None = None
    variables: Mapping[str, str] | None = None
    specials: tuple[Special, ...] = ()
    where: str = "the tokenizer"

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Message] | None = None,
        add_generation_prompt: bool = True,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """The text that stands for `messages`.

        Args:
            messages: `{"role": …, "content": …}` each, with what else the template knows (`tool_calls`, …). A content
                is text, or parts as `{"type": "text", "text": …}` and `{"type": "image"}`; text is made a part where
                the template passes over it else.
            tools: functions that the model may call, as JSON Schema.
            add_generation_prompt: end where the model begins to answer.
            variables: more of what the template asks for, such as `enable_thinking`.

        Raises:
            DataError: the template refuses the messages, or they are none.
            WeightsError: the template is broken, does not end or needs too much.
        """
        return self._render(self._given(messages, tools, add_generation_prompt, variables))

    def pieces(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Message] | None = None,
        add_generation_prompt: bool = True,
        variables: Mapping[str, Any] | None = None,
    ) -> list[Piece]:
        """As `render`, cut into text and the special tokens that the template itself wrote.

        Added tokens that are not special, such as `<think>` of many models, become ids in messages too, as in
        `transformers`. Raises DataError also where a message holds a special token that the template looks for and
        neither copies nor takes out.
        """
        given = self._given(messages, tools, add_generation_prompt, variables)
        text = self._render(given)
        content = json.dumps(given, ensure_ascii=False)
        marks = [mark for mark in _MARKS if mark not in content and mark not in text][:5]
        if len(marks) < 5:
            raise DataError("the messages hold every character that could mark what is not of the template")
        mark = marks[0]
        tokens = [special.content for special in self._by_length if len(special.content) > 1]
        pieces = self._unbroken(given, text, tokens, marks)
        if pieces is None or not self._are_its_own(pieces, given, tokens, mark):
            found = next((token for token in tokens if token in content), None)
            if found is None:
                raise DataError(
                    "the chat template makes a special token of what a message holds; remove what begins like one"
                )
            raise DataError(
                f"a message holds the special token {found!r}, into which the chat template looks; remove it from "
                "the text"
            )
        return pieces

    @cached_property
    def _reads_parts_alone(self) -> bool:
        """Whether the template looks for parts of a content, so that nothing of a plain text is written."""
        if "type" not in self.source:
            return False
        told: list[str] = []
        for content in (_PROBE, [{"type": "text", "text": _PROBE}]):
            asked = [{"role": "user", "content": content}]
            try:
                told.append(self._render({"messages": asked, "tools": None, "add_generation_prompt": True}))
            except DataError:
                told.append("")
            except WeightsError:  # whoever renders it is told
                return False
        return _PROBE not in told[0] and _PROBE in told[1]

    def _given(
        self,
        messages: Sequence[Message],
        tools: Sequence[Message] | None,
        add_generation_prompt: bool,
        variables: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        for number, message in enumerate(messages):
            if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
                raise DataError(f"message {number}: {message!r:.80} is no {{'role': …, 'content': …}}")
            if not _ROLE.fullmatch(message["role"]):
                raise DataError(f"message {number}: role {message['role']!r:.80} is not one word")
        told = [_with_reasoning(message) for message in messages]
        return {
            **(variables or {}),
            "messages": [_in_parts(message) for message in told] if self._reads_parts_alone else told,
            "tools": None if tools is None else list(tools),
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }

    def _unbroken(self, given: Mapping[str, Any], text: str, tokens: list[str], marks: list[str]) -> list[Piece] | None:
        """The pieces of `text` with the messages' special tokens as text; None where the template looks into them."""
        mark = marks[0]
        for change in (opening_breaker(tokens, mark), breaker(tokens, mark)):
            marked = _marked(given, change)
            if marked == given:
                return self._cut(text, mark)
            try:
                written = self._render(marked)
            except DataError:
                continue
            if written.replace(mark, "") == text:
                return self._cut(written, mark)
        for fences in (Fences(tokens, *marks[1:3], *marks[1:3]), Fences(tokens, *marks[1:])):
            pieces = self._fenced(given, text, fences, mark)
            if pieces is not None:
                return pieces
        return None

    def _are_its_own(self, pieces: list[Piece], given: Mapping[str, Any], tokens: list[str], mark: str) -> bool:
        """Whether the template writes the same special tokens where no message holds the beginning of one.

        A template that takes characters out of a message could otherwise join what is left to one.
        """
        shut = _marked(given, first_breaker(tokens, mark))
        if shut == given:
            return True
        try:
            own = self._cut(self._render(shut), mark)
        except DataError:
            return False
        return [piece.text for piece in pieces if piece.special] == [piece.text for piece in own if piece.special]

    def _fenced(self, given: Mapping[str, Any], text: str, fences: Fences, mark: str) -> list[Piece] | None:
        """The pieces, where the template takes special tokens out of messages: as many as without those tokens."""
        try:
            written = self._render(_marked(given, fences.put))
            without = self._cut(self._render(_marked(given, fences.without)), mark)
        except DataError:
            return None
        if fences.removed(written) != text:
            return None
        pieces = self._cut(fences.removed(fences.broken(written, mark)), mark)
        expected = [piece.text for piece in without if piece.special]
        return pieces if [piece.text for piece in pieces if piece.special] == expected else None

    @property
    def _by_length(self) -> list[Special]:
        return sorted((special for special in self.specials if special.content), key=lambda s: -len(s.content))

    def _render(self, given: Mapping[str, Any]) -> str:
        source = self.source if given["tools"] is None else self.tool_source or self.source
        # Marks what an assistant wrote, for training; the scope of a `with` is what Jinja's own block has.
        source = _GENERATION.sub(lambda m: f"{{%{m[1]} {m[2] or ''}with {m[3]}%}}", source)
        return render(source, {**(self.variables or {}), **given}, where=self.where)

    def _cut(self, text: str, mark: str) -> list[Piece]:
        by_length = self._by_length
        if not by_length:
            return [Piece(text.replace(mark, ""), special=False)] if text else []
        result: list[Piece] = []
        at = 0
        for match in re.finditer("|".join(f"({special.pattern})" for special in by_length), text):
            if match.start() > at:
                result.append(Piece(text[at : match.start()].replace(mark, ""), special=False))
            assert match.lastindex is not None, "each alternative is a group"
            result.append(Piece(by_length[match.lastindex - 1].content, special=True))
            at = match.end()
        if at < len(text):
            result.append(Piece(text[at:].replace(mark, ""), special=False))
        return result


def read_chat_template(
    config: Mapping[str, Any],
    template: str | None,
    *,
    variables: Mapping[str, str],
    specials: tuple[Special, ...],
) -> ChatTemplate | None:
    """The template of a file of its own, else those of tokenizer_config.json; raises WeightsError."""
    named = config.get("chat_template") if template is None else template
    if isinstance(named, list):
        try:
            named = {str(row["name"]): row["template"] for row in named}
        except (KeyError, TypeError) as error:
            raise WeightsError(
                "tokenizer_config.json: chat_template is a list of other things than templates"
            ) from error
    if named is None:
        return None
    by_name = named if isinstance(named, dict) else {"default": named}
    if not by_name or not all(isinstance(source, str) for source in by_name.values()):
        raise WeightsError("tokenizer_config.json: chat_template is neither a template nor a list of named ones")
    default = by_name.get("default", next(iter(by_name.values())))
    return ChatTemplate(default, by_name.get("tool_use"), variables, specials)


def _with_reasoning(message: Message) -> dict[str, Any]:
    """Reasoning goes by several names; templates read the first or the second."""
    found = next((message[name] for name in _REASONING if message.get(name) is not None), None)
    return dict(message) if found is None else {"thinking": found, **message, "reasoning_content": found}


def _in_parts(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    return {**message, "content": [{"type": "text", "text": content}]} if isinstance(content, str) else message


def _marked(given: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """`given` with every text in it changed, but the roles of messages, which are checked to be words."""
    messages = [{**_map_text(message, change), "role": message["role"]} for message in given["messages"]]
    return {**{name: _map_text(value, change) for name, value in given.items()}, "messages": messages}


def _map_text(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case Mapping():
            return {_map_text(key, change): _map_text(item, change) for key, item in value.items()}
        case list() | tuple():
            return [_map_text(item, change) for item in value]
    return value
