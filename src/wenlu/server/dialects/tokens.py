"""A model's tokenizer, in the shapes of vLLM, which lm-eval looks for at the root of a server."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from msgspec import UNSET, Struct, UnsetType
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from wenlu.server.dialects.chat_fields import Tool
from wenlu.server.dialects.chat_messages import Message, template_messages
from wenlu.server.dialects.documents import documented
from wenlu.server.dialects.drawn import TokenId
from wenlu.server.dialects.fields import Asked, told_as, wrong
from wenlu.server.dialects.sse import answered
from wenlu.server.http.body import read_json
from wenlu.server.http.caller import caller_of
from wenlu.server.http.errors import ApiError
from wenlu.server.http.gateway import Caller, Gateway
from wenlu.server.messages import (
    ChatPrompt,
    Describe,
    Description,
    Detokenize,
    ModelInfo,
    TextPrompt,
    Tokenize,
    Tokens,
)
from wenlu.server.settings import Limits

_NAMES = {"prompt.messages": "messages", "prompt.text": "prompt", "ids": "tokens"}
_LONGEST_SPECIAL = 64


class TokenizeRequest(Asked):
    """A text or messages; without a model the first one that is served is meant.

    A `prompt` that is nothing but a special token stands for that token where `add_special_tokens` is false.
    """

    model: str | None = None
    prompt: str | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    tools: list[Tool] = Field(default_factory=list)
    add_special_tokens: bool | None = None
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    return_token_strs: bool = False

    def check(self, limits: Limits) -> None:
        """Raise ApiError for what the schema cannot say."""
        if (self.prompt is None) == (self.messages is None):
            raise ApiError(400, "give prompt or messages", param="prompt", code="missing_required_parameter")
        if self.messages is None:
            chat = {"tools", "add_generation_prompt", "continue_final_message", "chat_template_kwargs"}
            alone = next((name for name in chat if name in self.model_fields_set), None)
            if alone is not None:
                raise wrong(alone, "goes with messages, not with prompt")
        elif len(self.messages) > limits.messages:
            raise wrong("messages", f"{len(self.messages)}; at most {limits.messages} are read")
        elif self.add_special_tokens:
            raise wrong("add_special_tokens", "the chat template writes them; leave it away")

    @property
    def framed(self) -> bool:
        """Whether special tokens stand around a text, or behind a chat the opening of an answer."""
        return self.add_special_tokens is not False if self.messages is None else self.add_generation_prompt


class DetokenizeRequest(Asked):
    model: str | None = None
    tokens: list[TokenId]


class TokenList(Struct, frozen=True, kw_only=True):
    count: int
    max_model_len: int | None
    tokens: tuple[int, ...]
    token_strs: tuple[str, ...] | UnsetType = UNSET


class TokenText(Struct, frozen=True):
    prompt: str


class TokenizerInfo(Struct, frozen=True, kw_only=True):
    """`special_tokens` with their ids."""

    tokenizer_class: str
    model: str
    bos_token: str | None
    eos_token: str | None
    pad_token: str | None
    vocab_size: int
    model_max_length: int | None
    special_tokens: dict[str, int]
    chat_template: str | None


def routes(gateway: Gateway) -> APIRouter:
    router = APIRouter()

    @router.post("/tokenize", **documented("Turn text or messages into ids", TokenizeRequest, TokenList))
    async def tokenize(request: Request) -> Response:
        asked, headers = TokenizeRequest.of(await read_json(request, gateway.limits))
        asked.check(gateway.limits)
        caller, model = caller_of(request), _model(gateway, asked.model)
        reply = await _tokens(asked, model, gateway, caller)
        told = TokenList(
            count=len(reply.ids),
            max_model_len=model.context,
            tokens=reply.ids,
            token_strs=reply.strings if asked.return_token_strs else UNSET,
        )
        return answered(told, headers)

    @router.post("/detokenize", **documented("Turn ids into text", DetokenizeRequest, TokenText))
    async def detokenize(request: Request) -> Response:
        asked, headers = DetokenizeRequest.of(await read_json(request, gateway.limits))
        model = _model(gateway, asked.model)
        with told_as(_NAMES, "tokens"):
            reply = await gateway.ask(
                caller_of(request), Detokenize(id=gateway.next_id(), model=model.name, ids=tuple(asked.tokens))
            )
        assert isinstance(reply, Tokens), "ids are answered with tokens"
        return answered(TokenText(reply.text), headers)

    @router.get("/tokenizer_info", **documented("Describe a tokenizer", None, TokenizerInfo))
    async def tokenizer_info(request: Request) -> Response:
        model = _model(gateway, request.query_params.get("model"))
        described = await _described(model, gateway, caller_of(request))
        told = TokenizerInfo(
            tokenizer_class="wenlu",
            model=model.name,
            bos_token=described.bos,
            eos_token=described.eos,
            pad_token=described.pad,
            vocab_size=described.vocab_size,
            model_max_length=described.context,
            special_tokens=described.specials,
            chat_template=described.chat_template,
        )
        return answered(told, {})

    return router


def _model(gateway: Gateway, name: str | None) -> ModelInfo:
    return gateway.models[0] if name is None and gateway.models else gateway.model(name)


async def _described(model: ModelInfo, gateway: Gateway, caller: Caller) -> Description:
    reply = await gateway.ask(caller, Describe(id=gateway.next_id(), model=model.name))
    assert isinstance(reply, Description), "a tokenizer is described"
    return reply


async def _tokens(asked: TokenizeRequest, model: ModelInfo, gateway: Gateway, caller: Caller) -> Tokens:
    prompt: TextPrompt | ChatPrompt
    if asked.messages is None:
        text = asked.prompt or ""
        # lm-eval asks so for the id of the end, which text of a user never becomes
        if not asked.framed and 0 < len(text) <= _LONGEST_SPECIAL and not text[0].isalnum() and " " not in text:
            special = (await _described(model, gateway, caller)).specials.get(text)
            if special is not None:
                return Tokens(id=0, ids=(special,), text=text, strings=(text,))
        prompt = TextPrompt(text)
    else:
        prompt = ChatPrompt(
            template_messages(asked.messages),
            tools=tuple({"type": "function", "function": tool.function.told()} for tool in asked.tools),
            variables=asked.chat_template_kwargs,
            continues=asked.continue_final_message,
        )
    with told_as(_NAMES, "prompt" if asked.messages is None else "messages"):
        reply = await gateway.ask(
            caller, Tokenize(id=gateway.next_id(), model=model.name, prompt=prompt, framed=asked.framed)
        )
    assert isinstance(reply, Tokens), "a prompt is answered with tokens"
    return reply
