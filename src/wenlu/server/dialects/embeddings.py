"""Embeddings (https://platform.openai.com/docs/api-reference/embeddings): vectors of texts."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter
from msgspec import Struct
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from wenlu.server.dialects.documents import documented
from wenlu.server.dialects.drawn import TokenId
from wenlu.server.dialects.fields import ANY, Asked, told_as, wrong
from wenlu.server.dialects.sse import answered
from wenlu.server.http.body import read_json
from wenlu.server.http.caller import caller_of
from wenlu.server.http.gateway import Caller, Gateway
from wenlu.server.messages import Describe, Description, Detokenize, Embed, TextPrompt, Tokenize, Tokens, Vectors
from wenlu.server.settings import Limits

_NAMES = {"inputs": "input", "ids": "input"}
_CHECKED = 3
"""Rows of ids that are read back and written again; the longest ones say most."""

Ids = Annotated[list[TokenId], Field(min_length=1)]
Texts = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class EmbeddingRequest(Asked):
    ignored: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType({"metadata": ANY})

    model: str
    input: Annotated[str, Field(min_length=1)] | Ids | Texts | Annotated[list[Ids], Field(min_length=1)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1, le=65536)] | None = None
    user: str | None = None
    own_token_ids: bool = False

    def check(self, limits: Limits) -> None:
        if len(self.inputs) > limits.inputs:
            raise wrong("input", f"{len(self.inputs)} inputs; at most {limits.inputs} are read at once")

    @property
    def inputs(self) -> tuple[str | tuple[int, ...], ...]:
        given = self.input
        if isinstance(given, str):
            return (given,)
        if isinstance(given[0], int):
            return (tuple(given),)
        return tuple(one if isinstance(one, str) else tuple(one) for one in given)


class EmbeddingVector(Struct, frozen=True, kw_only=True):
    """`embedding` is a list of numbers, or base64 of little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(Struct, frozen=True):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Struct, frozen=True, kw_only=True):
    object: Literal["list"] = "list"
    data: list[EmbeddingVector]
    model: str
    usage: EmbeddingUsage


def routes(gateway: Gateway) -> APIRouter:
    router = APIRouter()

    @router.post("/v1/embeddings", **documented("Turn texts into vectors", EmbeddingRequest, EmbeddingList))
    async def embeddings(request: Request) -> Response:
        asked, headers = EmbeddingRequest.of(await read_json(request, gateway.limits))
        asked.check(gateway.limits)
        caller = caller_of(request)
        model = gateway.model(asked.model, "embed")
        if asked.dimensions is not None and model.dimensions is not None and asked.dimensions > model.dimensions:
            raise wrong("dimensions", f"{asked.dimensions}; the vectors of {model.name} have {model.dimensions}")
        rows = [row for row in asked.inputs if not isinstance(row, str)]
        with told_as(_NAMES, "input"):
            if rows and not asked.own_token_ids:
                await _check_vocabulary(rows, model.name, gateway, caller)
            reply = await gateway.ask(
                caller,
                Embed(id=gateway.next_id(), model=model.name, inputs=asked.inputs, dimensions=asked.dimensions),
            )
        assert isinstance(reply, Vectors), "vectors are answered with vectors"
        size = 4 * reply.dimensions
        parts = [reply.data[start : start + size] for start in range(0, len(reply.data), size)]
        data = [
            EmbeddingVector(index=number, embedding=_written(part, asked.encoding_format))
            for number, part in enumerate(parts)
        ]
        usage = EmbeddingUsage(reply.tokens, reply.tokens)
        return answered(EmbeddingList(data=data, model=model.name, usage=usage), headers)

    return router


def _written(data: bytes, form: str) -> list[float] | str:
    if form == "base64":
        return base64.b64encode(data).decode()
    return list(struct.unpack(f"<{len(data) // 4}f", data))


async def _check_vocabulary(rows: list[tuple[int, ...]], model: str, gateway: Gateway, caller: Caller) -> None:
    """Raise ApiError for ids that another tokenizer made: their text, written again, has other ids.

    LangChain sends ids of OpenAI's vocabulary unless it is told not to; read as ours they are another text, whose
    vector would be worth nothing, and nobody would notice.
    """
    described = await gateway.ask(caller, Describe(id=gateway.next_id(), model=model))
    assert isinstance(described, Description), "a tokenizer is described"
    specials = set(described.specials.values())
    for row in sorted(rows, key=len, reverse=True)[:_CHECKED]:
        largest = max(row)
        if largest >= described.vocab_size:
            raise _foreign(f"the id {largest} is not among the {described.vocab_size} of this model's vocabulary")
        ids = tuple(token for token in row if token not in specials)
        text = await gateway.ask(caller, Detokenize(id=gateway.next_id(), model=model, ids=ids))
        assert isinstance(text, Tokens), "ids are answered with tokens"
        prompt = TextPrompt(text.text)
        again = await gateway.ask(caller, Tokenize(id=gateway.next_id(), model=model, prompt=prompt, framed=False))
        assert isinstance(again, Tokens), "a text is answered with tokens"
        if again.ids != ids:
            raise _foreign("the ids are not those that this model's tokenizer gives to any text")


def _foreign(why: str) -> Exception:
    return wrong(
        "input",
        f"{why}, so another tokenizer made them. Send text instead (LangChain's OpenAIEmbeddings: "
        "check_embedding_ctx_length=False), or ids of this model's POST /tokenize; "
        '"own_token_ids": true says that they are this model\'s and leaves the check out',
    )
