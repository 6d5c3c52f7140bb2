"""What a request for a chat completion says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from wenlu.server.dialects.chat_messages import Message, Name, template_messages
from wenlu.server.dialects.drawn import Drawn
from wenlu.server.dialects.fields import ANY, Part, wrong
from wenlu.server.messages import ChatPrompt, Form, Generate
from wenlu.server.settings import Limits


class Function(Part):
    """`parameters` is a JSON Schema; `strict` holds the model to it."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = {"name": self.name}
        if self.description is not None:
            told["description"] = self.description
        told["parameters"] = self.parameters or {"type": "object", "properties": {}}
        return {**told, "strict": True} if self.strict else told


class Tool(Part):
    type: Literal["function"]
    function: Function


class NamedFunction(Part):
    name: Name


class NamedTool(Part):
    type: Literal["function"]
    function: NamedFunction


class JsonSchema(Part):
    name: str
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema", default_factory=lambda: {"type": "object"})
    strict: bool | None = None


class AnyText(Part):
    type: Literal["text"]


class AnyObject(Part):
    type: Literal["json_object"]


class BySchema(Part):
    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[AnyText | AnyObject | BySchema, Field(discriminator="type")]


class ChatRequest(Drawn):
    ignored: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {
            **Drawn.ignored,
            "modalities": (["text"],),
            "prompt_cache_options": ANY,
            "prompt_cache_retention": ANY,
        }
    )
    refused: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "audio": "no model here speaks; leave it away",
            "function_call": "it is the older form of tool_choice",
            "functions": "they are the older form of tools",
            "moderation": "nothing here moderates; leave it away",
            "reasoning_effort": "say it to the chat template, as chat_template_kwargs={'enable_thinking': false}",
            "web_search_options": "nothing here searches the web; leave it away",
            "suffix": "it belongs to /v1/completions",
            "echo": "it belongs to /v1/completions",
            "best_of": "it belongs to /v1/completions",
        }
    )

    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: list[Tool] = Field(default_factory=list)
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool = True
    response_format: ResponseFormat | None = None
    prompt_cache_key: str | None = None
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    continue_final_message: bool = False

    def check(self, limits: Limits) -> None:
        super().check(limits)
        if len(self.messages) > limits.messages:
            raise wrong("messages", f"{len(self.messages)}; at most {limits.messages} are read")
        if len(self.tools) > limits.tools:
            raise wrong("tools", f"{len(self.tools)}; at most {limits.tools} are read")
        names = [tool.function.name for tool in self.tools]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise wrong("tools", f"{twice!r} comes twice; the functions need names of their own")
        if self.max_tokens is not None and self.max_completion_tokens not in (None, self.max_tokens):
            raise wrong(
                "max_tokens", f"{self.max_tokens}, and max_completion_tokens {self.max_completion_tokens}: say one"
            )
        if self.top_logprobs is not None and not self.logprobs:
            raise wrong("top_logprobs", 'comes with log-probabilities; set "logprobs": true')
        if self.continue_final_message and self.messages[-1].role != "assistant":
            raise wrong("continue_final_message", "the last message must be the assistant's")
        if self.form() is not None and self.calls_tools:
            where = "guided" if self.guided is not None else "response_format"
            raise wrong(
                where, 'an answer of this form cannot be a call; leave tools away, or set tool_choice to "none"'
            )
        self.chosen_tool(names)

    @property
    def calls_tools(self) -> bool:
        """Whether the answer may be calls of functions."""
        return bool(self.tools) and self.tool_choice != "none"

    @property
    def most_calls(self) -> int | None:
        return None if self.parallel_tool_calls else 1

    def chosen_tool(self, names: list[str]) -> str:
        """ "none", "auto", "required" or a function's name; raises ApiError."""
        if isinstance(self.tool_choice, NamedTool):
            name = self.tool_choice.function.name
            if name not in names:
                raise wrong("tool_choice.function.name", f"{name!r} is none of the tools: {', '.join(names) or 'none'}")
            if name in ("none", "auto", "required"):
                raise wrong("tool_choice.function.name", f"{name!r} cannot be told from the choice of that name")
            return name
        if self.tool_choice == "required" and not names:
            raise wrong("tool_choice", "there are no tools to choose from")
        return self.tool_choice or "auto"

    def form(self) -> Form | None:
        wanted = self.response_format
        given = None if isinstance(wanted, AnyText) else wanted
        if self.guided is not None:
            if given is not None:
                raise wrong("guided", "the answer's form is also said by response_format; say one")
            return self.guided.form()
        if isinstance(given, BySchema):
            return Form(json_schema=json.dumps(given.json_schema.schema_, ensure_ascii=False))
        return None if given is None else Form(json_schema='{"type": "object"}')

    def prompt(self) -> ChatPrompt:
        tools = tuple({"type": "function", "function": tool.function.told()} for tool in self.tools)
        pictures: list[str] = []
        return ChatPrompt(
            template_messages(self.messages, pictures),
            tools=tools,
            tool_choice=self.chosen_tool([tool.function.name for tool in self.tools]),
            parallel=self.parallel_tool_calls,
            variables=self.chat_template_kwargs,
            continues=self.continue_final_message,
            pictures=tuple(pictures),
        )

    def generate(self, number: int) -> Generate:
        """The request for the engine; raises ApiError."""
        logprobs = (self.top_logprobs or 0) if self.logprobs else None
        return Generate(
            id=number,
            model=self.model,
            prompt=self.prompt(),
            max_tokens=self.max_completion_tokens or self.max_tokens,
            n=self.n,
            rules=self.rules(),
            stop=self.stops,
            ignore_end=self.ignore_eos,
            seed=self.drawing_seed,
            logprobs=0 if logprobs is None and self.return_token_ids else logprobs,
            echo=self.return_token_ids,
            form=self.form(),
            salt=self.cache_salt or "",
        )
