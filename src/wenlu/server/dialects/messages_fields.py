"""What a request of Anthropic's Messages says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from wenlu.server.dialects.chat_messages import Content, Name, text_of
from wenlu.server.dialects.drawn import StopText
from wenlu.server.dialects.fields import ANY, Asked, Part, refused, shown, wrong
from wenlu.server.messages import ChatPrompt, Form, Generate, Rules
from wenlu.server.settings import Limits

_WHY = "no model here does it; leave it away"


class Turn(Part):
    """`content` is text or blocks: text of both; `tool_use` of the assistant, `tool_result` of the user."""

    role: Literal["user", "assistant"]
    content: str | list[dict[str, Any]]


class MessagesTool(Part):
    """`input_schema` is a JSON Schema; `strict` holds the model to it."""

    name: Name
    description: str | None = None
    input_schema: dict[str, Any]
    type: Literal["custom"] | None = None
    cache_control: Any = None
    eager_input_streaming: bool | None = None
    strict: bool | None = None

    def told(self) -> dict[str, Any]:
        function: dict[str, Any] = {"name": self.name}
        if self.description is not None:
            function["description"] = self.description
        function["parameters"] = self.input_schema
        if self.strict:
            function["strict"] = True
        return {"type": "function", "function": function}


class ToolChoice(Part):
    type: Literal["auto", "any", "tool", "none"]
    name: Name | None = None
    disable_parallel_tool_use: bool = False


class OutputFormat(Part):
    type: Literal["json_schema"]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class OutputConfig(Part):
    format: OutputFormat | None = None


class Conversation(Asked):
    """What is read, without how the answer is to be written."""

    ignored: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {
            "metadata": ANY,
            "service_tier": ("auto", "standard_only"),
            "cache_control": ANY,
            "thinking": ({"type": "disabled"},),
        }
    )
    refused: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "container": _WHY,
            "context_management": _WHY,
            "mcp_servers": _WHY,
            "speed": _WHY,
            "stop": "it is stop_sequences here",
            "n": "one answer is written; /v1/chat/completions writes several",
        }
    )

    model: str
    messages: Annotated[list[Turn], Field(min_length=1)]
    system: str | list[dict[str, Any]] | None = None
    tools: list[MessagesTool] = Field(default_factory=list)
    tool_choice: ToolChoice | None = None
    output_config: OutputConfig | None = None

    def check(self, limits: Limits) -> None:
        """Raise ApiError for what the schema cannot say."""
        if len(self.messages) > limits.messages:
            raise wrong("messages", f"{len(self.messages)}; at most {limits.messages} are read")
        if len(self.tools) > limits.tools:
            raise wrong("tools", f"{len(self.tools)}; at most {limits.tools} are read")
        choice, names = self.tool_choice, [tool.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise wrong("tools", "each needs a name of its own")
        if choice is not None and choice.type == "tool" and choice.name not in names:
            raise wrong("tool_choice.name", f"{shown(choice.name)} is none of the tools: {', '.join(names) or 'none'}")
        if choice is not None and choice.type == "any" and not names:
            raise wrong("tool_choice", "there are no tools to choose from")
        if self.form() is not None and self.calls_tools:
            raise wrong("output_config.format", "an answer of this form cannot be a call; leave tools away")

    @property
    def calls_tools(self) -> bool:
        """Whether the answer may be calls of functions."""
        return bool(self.tools) and (self.tool_choice is None or self.tool_choice.type != "none")

    @property
    def most_calls(self) -> int | None:
        return 1 if self.tool_choice is not None and self.tool_choice.disable_parallel_tool_use else None

    def form(self) -> Form | None:
        if self.output_config is None or self.output_config.format is None:
            return None
        return Form(json_schema=json.dumps(self.output_config.format.schema_, ensure_ascii=False))

    def prompt(self) -> ChatPrompt:
        """The answer goes on with a last message that is the assistant's; raises ApiError."""
        chosen = "auto"
        if self.tool_choice is not None:
            kinds = {"auto": "auto", "any": "required", "none": "none", "tool": self.tool_choice.name or "auto"}
            chosen = kinds[self.tool_choice.type]
        pictures: list[str] = []
        return ChatPrompt(
            template_messages(self.system, self.messages, pictures),
            tools=tuple(tool.told() for tool in self.tools),
            tool_choice=chosen,
            parallel=self.most_calls is None,
            continues=self.messages[-1].role == "assistant",
            pictures=tuple(pictures),
        )


class MessagesRequest(Conversation):
    refused: ClassVar[Mapping[str, str]] = MappingProxyType(
        {**Conversation.refused, "max_completion_tokens": "it is max_tokens here"}
    )

    max_tokens: Annotated[int, Field(ge=1)]
    stop_sequences: list[StopText] = Field(default_factory=list)
    stream: bool = False
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(ge=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] | None = None

    def check(self, limits: Limits) -> None:
        super().check(limits)
        if len(self.stop_sequences) > limits.stop:
            raise wrong("stop_sequences", f"{len(self.stop_sequences)} strings; at most {limits.stop} are looked for")

    def generate(self, number: int) -> Generate:
        """The request for the engine; raises ApiError."""
        return Generate(
            id=number,
            model=self.model,
            prompt=self.prompt(),
            max_tokens=self.max_tokens,
            rules=Rules(
                temperature=self.temperature if self.top_p else 0.0,
                top_p=self.top_p or 1.0,
                top_k=self.top_k or None,
            ),
            stop=tuple(self.stop_sequences),
            form=self.form(),
        )


def template_messages(system: Content, turns: list[Turn], pictures: list[str]) -> tuple[dict[str, Any], ...]:
    """What a chat template reads: what tools returned becomes messages of their own, turns of the same side one
    message; the data URLs of `pictures` are added. Raises ApiError."""
    above = text_of(system, "system")
    written: list[dict[str, Any]] = [] if above is None else [{"role": "system", "content": above}]
    called: dict[str, str] = {}
    for number, turn in enumerate(turns):
        blocks = [{"type": "text", "text": turn.content}] if isinstance(turn.content, str) else turn.content
        for place, block in enumerate(blocks):
            where = f"messages.{number}.content.{place}"
            match block.get("type"):
                case "tool_use" if turn.role == "assistant":
                    call = _call(block, where)
                    called[call["id"]] = call["function"]["name"]
                    _last(written, "assistant").setdefault("tool_calls", []).append(call)
                case "tool_result" if turn.role == "user":
                    written.append(_result(block, where, called))
                case "tool_use" | "tool_result" as kind:
                    raise wrong(f"{where}.type", f"{kind} is no block of the {turn.role}'s")
                case _:
                    shown = pictures if turn.role == "user" else None
                    text = text_of([block], f"messages.{number}.content", shown) or ""
                    message = _last(written, turn.role)
                    message["content"] = f"{message['content']}\n{text}" if message["content"] else text
    return tuple(written)


def _last(written: list[dict[str, Any]], role: str) -> dict[str, Any]:
    """The message that is being written for `role`."""
    if not written or written[-1]["role"] != role:
        written.append({"role": role, "content": ""})
    return written[-1]


def _call(block: dict[str, Any], where: str) -> dict[str, Any]:
    name, number, given = block.get("name"), block.get("id"), block.get("input")
    for field, value, kind in (("name", name, str), ("id", number, str), ("input", given, dict)):
        if not isinstance(value, kind):
            expected = "an object" if kind is dict else "a string"
            raise wrong(f"{where}.{field}", f"must be {expected}, not {shown(value)}")
    return {"id": number, "type": "function", "function": {"name": name, "arguments": given}}


def _result(block: dict[str, Any], where: str, called: Mapping[str, str]) -> dict[str, Any]:
    number, content = block.get("tool_use_id"), block.get("content")
    if not isinstance(number, str):
        raise wrong(f"{where}.tool_use_id", f"must be a string, not {shown(number)}")
    if number not in called:
        raise wrong(f"{where}.tool_use_id", f"{shown(number)} is the id of no tool_use before it")
    if content is not None and not isinstance(content, str | list):
        raise refused(f"{where}.content", f"{where}.content must be text or blocks of text, not {shown(content)}")
    text = text_of(content, f"{where}.content") or ""
    text = f"Error: {text}" if block.get("is_error") else text
    return {"role": "tool", "content": text, "tool_call_id": number, "name": called[number]}
