"""An engine that writes the same tokens at a given speed, so that what is tested or measured is all around it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from itertools import count
from typing import Any

from wenlu.server.link.engine import EngineGone
from wenlu.server.messages import (
    Answer,
    Answers,
    Asking,
    ChatPrompt,
    Delta,
    Describe,
    Description,
    Detokenize,
    Done,
    Embed,
    Event,
    Explain,
    Explained,
    Failed,
    Generate,
    ModelInfo,
    Prompt,
    Reply,
    Started,
    Stats,
    TextPrompt,
    TokenInfo,
    Tokenize,
    TokenPrompt,
    Tokens,
    Vectors,
)

WRITER = ModelInfo(
    "writer", ("chat", "complete", "fill-in-the-middle", "embed"), 1_700_000_000, context=4096, tools=True
)
JUDGE = ModelInfo("judge", ("classify", "explain"), 1_700_000_001, task="text-classification", labels=("bad", "good"))
WHY: dict[str, Any] = {
    "id": "text",
    "task": "text-classification",
    "prediction": "good",
    "probability": 0.9,
    "probabilities": {"bad": 0.1, "good": 0.9},
    "explained": {"target": "good", "against": None, "value": "logit", "chance": "probability"},
    "texts": {"text": "not bad"},
    "attributions": [
        {"part": "text", "text": "not", "start": 0, "end": 3, "attribution": 1.5},
        {"part": "text", "text": "bad", "start": 4, "end": 7, "attribution": -0.5},
    ],
    "elsewhere": [],
    "certificate": {
        "verdict": "valid",
        "reasons": [],
        "method": "integrated-gradients",
        "baseline": "replaced: mask",
        "unit": "word",
        "value": 2.0,
        "base": 1.0,
        "completeness_error": 0.0001,
        "steps": 8,
        "randomisation": 0.1,
        "randomisations": 5,
        "stability": None,
        "seed": 0,
        "model": "sha256:00",
        "tokenizer": "00",
        "comprehensiveness": {"value": 0.4, "random_mean": 0.2, "random_low": 0.1, "random_high": 0.3},
        "sufficiency": {"value": 0.1, "random_mean": 0.3, "random_low": 0.2, "random_high": 0.4},
        "orders": 40,
        "percentile": 1.0,
        "p_value": 0.02,
        "can_be_told": True,
    },
    "seconds": 0.1,
}
"""What every question why is answered, as `wenlu explain --json` does."""
PIECES = ("Hello", ",", " ", "world", "!")


class FixedEngine:
    """An `EngineLink`.

    Args:
        pieces: what every answer consists of, a token each; `max_tokens` cuts it.
        token_seconds: between two tokens. prefill_seconds: before `Started`.
        rows: what every example of a task is answered.
        fails: told in place of the answer, or behind `fails_after` tokens of it.

    Attributes:
        asked: every request that arrived. running: ids of those that are not answered.
        cancelled: ids of those that were given up, each with the stage that it had reached.
        broken: set it, and whatever runs or comes finds the engine gone.
    """

    def __init__(
        self,
        pieces: Sequence[str] = PIECES,
        *,
        models: Sequence[ModelInfo] = (WRITER, JUDGE),
        token_seconds: float = 0.0,
        prefill_seconds: float = 0.0,
        rows: Sequence[dict[str, Any]] = ({"prediction": "good", "probability": 0.9},),
        fails: Failed | None = None,
        fails_after: int | None = None,
    ) -> None:
        self.pieces = tuple(pieces)
        self.models = tuple(models)
        self.token_seconds = token_seconds
        self.prefill_seconds = prefill_seconds
        self.rows = tuple(rows)
        self.fails = fails
        self.fails_after = fails_after
        self.asked: list[Generate | Asking] = []
        self.running: set[int] = set()
        self.cancelled: dict[int, str] = {}
        self.broken = asyncio.Event()
        self.is_ready = True
        self.restarts = 0
        self._ids = count(1)

    @property
    def stats(self) -> Stats:
        return Stats(
            running=len(self.running),
            waiting=0,
            generated=0,
            prompt_tokens=0,
            cached_tokens=0,
            preemptions=0,
            page_share=0.0,
            resident_bytes=0,
        )

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def next_id(self) -> int:
        return next(self._ids)

    async def generate(self, request: Generate) -> AsyncIterator[Event]:
        stage = "prefill"
        self._enter(request)
        try:
            await self._wait(self.prefill_seconds)
            if self.fails is not None and self.fails_after is None:
                yield _failed(self.fails, request.id)
                return
            read = _tokens_of(request.prompt)
            told = tuple(_info(index, piece) for index, piece in enumerate(read)) if request.echo else ()
            text = "".join(read) if request.echo else ""
            yield Started(id=request.id, prompt_tokens=len(read), seed=request.seed or 0, prompt=told, text=text)
            stage = "decode"
            pieces = self.pieces[: request.max_tokens]
            for index, piece in enumerate(pieces):
                if self.fails is not None and index == self.fails_after:
                    yield _failed(self.fails, request.id)
                    return
                await self._wait(self.token_seconds)
                ended = index + 1 == len(pieces)
                finish = ("length" if len(pieces) < len(self.pieces) else "stop") if ended else None
                tokens = (_info(index, piece, request.logprobs),) if request.logprobs is not None else ()
                for choice in range(request.n):
                    yield Delta(id=request.id, choice=choice, text=piece, count=1, tokens=tokens, finish=finish)
            yield Done(id=request.id)
        except (GeneratorExit, asyncio.CancelledError):
            self.cancelled[request.id] = stage
            raise
        finally:
            self.running.discard(request.id)

    async def ask(self, request: Asking) -> Reply:
        self._enter(request)
        try:
            await self._wait(self.prefill_seconds)
            return _failed(self.fails, request.id) if self.fails is not None else self._reply(request)
        except asyncio.CancelledError:
            self.cancelled[request.id] = "prefill"
            raise
        finally:
            self.running.discard(request.id)

    def _reply(self, request: Asking) -> Reply:
        match request:
            case Embed(inputs=inputs):
                numbers = [1.0] + [0.0] * ((request.dimensions or 4) - 1)
                data = struct.pack(f"<{len(numbers)}f", *numbers) * len(inputs)
                return Vectors(id=request.id, data=data, dimensions=len(numbers), tokens=sum(map(len, inputs)))
            case Answer(examples=examples):
                rows = tuple(self.rows[index % len(self.rows)] for index in range(len(examples)))
                return Answers(id=request.id, rows=rows, tokens=len(examples))
            case Explain():
                return Explained(id=request.id, told=WHY, tokens=2)
            case Tokenize(prompt=prompt):
                strings = _tokens_of(prompt)
                return Tokens(id=request.id, ids=tuple(range(len(strings))), strings=strings, context=4096)
            case Detokenize(ids=ids):
                return Tokens(id=request.id, ids=ids, text=" ".join(map(str, ids)), context=4096)
            case Describe():
                return Description(
                    id=request.id,
                    specials={"<end>": 0},
                    bos=None,
                    eos="<end>",
                    pad=None,
                    vocab_size=300,
                    context=4096,
                    chat_template=None,
                )

    def _enter(self, request: Generate | Asking) -> None:
        self.asked.append(request)
        self.running.add(request.id)

    async def _wait(self, seconds: float) -> None:
        if self.broken.is_set():
            raise EngineGone
        if seconds == 0:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(seconds):
                await self.broken.wait()
            raise EngineGone
        except TimeoutError:
            return


def _tokens_of(prompt: Prompt) -> tuple[str, ...]:
    """Characters, which are as good as tokens here."""
    match prompt:
        case TextPrompt(text=text):
            return tuple(text)
        case TokenPrompt(ids=ids):
            return tuple(f"<{number}>" for number in ids)
        case ChatPrompt(messages=messages):
            return tuple("".join(str(message.get("content") or "") for message in messages))


def _info(index: int, piece: str, top: int | None = 0) -> TokenInfo:
    others = tuple(TokenInfo(rank, bytes([97 + rank % 26]), -0.5 - rank) for rank in range(top or 0))
    return TokenInfo(index, piece.encode(), -0.5, others)


def _failed(failed: Failed, number: int) -> Failed:
    return Failed(
        id=number,
        fault=failed.fault,
        message=failed.message,
        param=failed.param,
        context=failed.context,
        asked=failed.asked,
    )
