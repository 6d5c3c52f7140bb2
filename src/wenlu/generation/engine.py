"""The engine: many requests, one model, one token for each at every step.

    step() = schedule → forward → sample

Requests run as soon as there is a place and room for them, and leave when they end. What a request answers is a
function of its prompt, rules and seed alone; its neighbours only share the time. Token ids only: text is above.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from wenlu.config import did_you_mean
from wenlu.errors import UsageError
from wenlu.generation.caches import CacheType, Packing
from wenlu.generation.choosing import Finish, Scored, Top, choose, finish_of
from wenlu.generation.constraints import NONE, Constraints
from wenlu.generation.echo import prompt_logprobs
from wenlu.generation.forward import before_answer, inference, room_for
from wenlu.generation.guidance import Contrast
from wenlu.generation.guides import Guide
from wenlu.generation.memory import Memory
from wenlu.generation.native_runner import NativeRunner, packing_of
from wenlu.generation.pages import PagedMemory, has_pages, pool_for, window_of
from wenlu.generation.runner import Runner, TorchRunner
from wenlu.generation.scheduling import Scheduler
from wenlu.generation.seat import Seat
from wenlu.generation.settings import Sampling
from wenlu.generation.states import JoinedStates, StateMemory
from wenlu.generation.stats import NO_PAGES, EngineStats
from wenlu.kernels.decoder import PAGE
from wenlu.models import LanguageModel


@dataclass(frozen=True)
class Request:
    """One prompt to continue, or one source from which an encoder–decoder writes.

    Attributes:
        constraints: what the checkpoint forbids and forces.
        stop_ids: tokens that end the answer; the one that does is emitted too.
        vocab_size: tokens from this id on are never chosen: a model may have more of them than its tokenizer.
        choice: number of this answer among those to the same prompt and seed; each draws its own numbers.
        priority: requests of a lower one go first; those of a higher one may have to give up their memory to them.
        salt: what was read of a prompt is used for others with the same one only, so nobody else can tell by the
            time that a prompt was asked before.
        adapter: one of the engine's, by name; None: the model by itself.
        top_logprobs: how many of the likeliest tokens come with each one that is emitted.
        prompt_logprobs: the first emission tells those of the prompt too.
        guide: what the answer must look like; no other request has the same one.
        contrast: the answer behind another prompt, for rules with guidance; no other request has the same one.
    """

    prompt: Sequence[int]
    max_new_tokens: int
    rules: Sampling = field(default_factory=Sampling)
    constraints: Constraints = NONE
    stop_ids: frozenset[int] = frozenset()
    vocab_size: int | None = None
    seed: int = 0
    choice: int = 0
    priority: int = 0
    salt: str = ""
    adapter: str | None = None
    top_logprobs: int = 0
    prompt_logprobs: bool = False
    guide: Guide | None = None
    contrast: Contrast | None = None


@dataclass(frozen=True, slots=True)
class Emission:
    """The next token of a request.

    Attributes:
        logprob: in nats, under the model itself, before the rules.
        finish: None while the answer goes on.
        top: the likeliest tokens in its place under the model itself, where the request asks for them.
        prompt: the tokens of the prompt behind its first, where the request asks for them; with the first token.
    """

    id: int
    token: int
    logprob: float
    finish: Finish | None
    top: Top = ()
    prompt: tuple[Scored, ...] = ()


@dataclass(slots=True)
class _Row:
    """A request that has been submitted, what stands before its answer, and its place."""

    id: int
    request: Request
    limit: int
    before: Sequence[int]
    seat: Seat

    @property
    def answer(self) -> list[int]:
        """The answer so far."""
        return self.seat.answer

    @property
    def position(self) -> int:
        return len(self.request.prompt) + len(self.answer)


class Engine:
    """Generates for many requests at once.

    Args:
        model: used as it is, in evaluation mode during a step.
        max_batch: requests that run side by side; the others wait in order.
        max_prefill_tokens: prompt tokens that one step reads at most, unless a unit is longer; bounds its memory and
            its time.
        cache: what keys and values are kept as: as the model has them ("plain"), or in fewer bits; "int8" takes a
            quarter of the memory of float32, but for scales.
        memory: bytes that keys and values take at most; "auto" as `pool_for` says. Not for models that remember
            otherwise.
        invariant: no digit of an answer depends on what runs beside it, or was read before it; "auto": on a CPU.
            Without it requests share the model's calls, and their last digits may differ, now and then a token too.
        page_size: tokens of a page.
        unit: prompts are read, and what they begin with is kept for others, in units of so many tokens.
        prefix_cache: whether it is kept.
        adapters: by name, the model with each of them; all share the weights of `model`.
        weights: what they are read as: see `Packing`. Codes of eight and four bits are a tenth to a quarter of float32,
            and answers then differ a little; without `invariant` torch reads.
    """

    def __init__(
        self,
        model: LanguageModel,
        *,
        max_batch: int = 16,
        max_prefill_tokens: int = 8192,
        cache: CacheType = "plain",
        memory: int | Literal["auto"] = "auto",
        invariant: bool | Literal["auto"] = "auto",
        page_size: int = 32,
        unit: int = 128,
        prefix_cache: bool = True,
        adapters: Mapping[str, LanguageModel] | None = None,
        weights: Packing = "auto",
    ) -> None:
        self.model = model
        self.models: dict[str | None, LanguageModel] = {None: model}
        self.models.update(adapters or {})
        if invariant == "auto":
            invariant = next(model.parameters()).device.type == "cpu"
        self._memory: Memory
        if has_pages(model):
            packing = packing_of(model, weights if invariant else "torch")
            if packing in ("int8", "int4") and cache == "plain":
                cache = "bfloat16"  # finer keys and values than weights would only take longer
            pool = pool_for(model, max_batch=max_batch, memory=memory, cache=cache, page_size=page_size)
            runners: dict[str | None, Runner] = {
                name: TorchRunner(each, pool, unit=unit if invariant else None) for name, each in self.models.items()
            }
            if packing is not None and page_size == PAGE:
                runners[None] = NativeRunner(model, pool, packing)
            self._memory = PagedMemory(runners, unit=unit, window=window_of(model), keeps_prefixes=prefix_cache)
        else:
            _refuse_pages(model, cache, memory, weights)
            self._memory = StateMemory(self.models) if invariant else JoinedStates(self.models)
        self._scheduler = Scheduler(self._memory, max_batch=max_batch, max_prefill_tokens=max_prefill_tokens)
        self._rows: dict[int, _Row] = {}
        self._next_id = 0
        self._generated = 0

    @property
    def busy(self) -> bool:
        """Whether a request waits or runs."""
        return bool(self._rows)

    def submit(self, request: Request) -> int:
        """Queue a request and return its id.

        Raises UsageError for a prompt that the model cannot read, or that the memory could not hold with its answer.
        """
        if request.adapter not in self.models:
            known = [name for name in self.models if name is not None]
            hint = did_you_mean(str(request.adapter), known) if known else "this engine has none"
            raise UsageError(f"no adapter {request.adapter!r}: {hint}")
        room = room_for(self.model, request.prompt)
        limit = request.max_new_tokens if room is None else min(request.max_new_tokens, room)
        before = before_answer(self.model, request.prompt)
        self._memory.check(len(request.prompt) + limit - 1)  # the last token is written, and never read
        id = self._next_id
        seat = Seat((request.priority, id), tuple(request.prompt), request.adapter, request.salt)
        self._rows[id] = _Row(id, request, limit, before, seat)
        self._next_id += 1
        self._scheduler.add(seat)
        return id

    def cancel(self, id: int) -> None:
        """Forget a request; nothing more of it is emitted. A finished or unknown one is left alone."""
        row = self._rows.pop(id, None)
        if row is not None:
            with self._inference():
                self._scheduler.remove(row.seat)

    def step(self) -> list[Emission]:
        """The next token of every request whose prompt is read; perhaps none, while long prompts are."""
        emissions: list[Emission] = []
        with self._inference():
            parts = self._scheduler.schedule()
            for reading in self._memory.read(parts):
                emissions += self._sample(reading.logits, [self._rows[seat.id] for seat in reading.seats])
            for emission in emissions:
                if emission.finish is not None:
                    self.cancel(emission.id)
        return emissions

    def forget_prefixes(self) -> None:
        """Read every prompt to come from its start: to be called where the model's weights have changed."""
        if isinstance(self._memory, PagedMemory):
            self._memory.prefixes.clear()

    def stats(self) -> EngineStats:
        """What the engine does and holds now, and has done so far."""
        pages = self._memory if isinstance(self._memory, PagedMemory) else None
        return EngineStats(
            running=len(self._scheduler.running),
            waiting=len(self._scheduler.waiting),
            preemptions=self._scheduler.preemptions,
            prefix_hits=self._scheduler.found,
            generated=self._generated,
            pages=NO_PAGES if pages is None else pages.stats(),
        )

    @contextmanager
    def _inference(self) -> Iterator[None]:
        with ExitStack() as stack:
            for model in self.models.values():
                stack.enter_context(inference(model))
            yield

    def _sample(self, logits: Tensor, batch: list[_Row]) -> list[Emission]:
        """Choose the next token of each row by its logits (B, V)."""
        emissions = []
        for row, scored in zip(batch, choose(logits, batch), strict=True):
            prompt = () if row.answer else self._echo(row.request)
            row.answer.append(scored.token)
            emissions.append(Emission(row.id, scored.token, scored.logprob, finish_of(row), scored.top, prompt))
        self._generated += len(emissions)
        return emissions

    def _echo(self, request: Request) -> tuple[Scored, ...]:
        if not request.prompt_logprobs:
            return ()
        model = self.models[request.adapter]
        return prompt_logprobs(model, request.prompt, top=request.top_logprobs, vocab_size=request.vocab_size)


def _refuse_pages(model: LanguageModel, cache: CacheType, memory: int | Literal["auto"], weights: Packing) -> None:
    """Raise UsageError where something is asked for that only keys and values in pages have."""
    asked = {"cache": (cache, "plain"), "memory": (memory, "auto"), "weights": (weights, "auto")}
    for name, (given, default) in asked.items():
        if given not in (default, "torch"):
            raise UsageError(
                f"{name} = {json.dumps(given)} is for decoders that keep keys and values alone, and "
                f"{type(model).__name__} remembers otherwise; leave it out"
            )
