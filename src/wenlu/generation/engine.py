"""The engine: many requests, one model, one token for each at every step.

    step() = schedule → forward → sample

Requests join the running batch as soon as a row is free and leave it when they end. What a request answers is a
function of its prompt, rules and seed alone; its neighbours only share the time. Token ids only: text is above.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from wenlu.generation.caches import CacheType, kept_as
from wenlu.generation.choosing import Finish, Scored, Top, choose, finish_of
from wenlu.generation.constraints import NONE, Constraints
from wenlu.generation.echo import prompt_logprobs
from wenlu.generation.forward import before_answer, decode, inference, prefill, room_for, to_logits
from wenlu.generation.guidance import Contrast
from wenlu.generation.guides import Guide
from wenlu.generation.settings import Sampling
from wenlu.models import DecodeState, LanguageModel


@dataclass(frozen=True)
class Request:
    """One prompt to continue, or one source from which an encoder–decoder writes.

    Attributes:
        constraints: what the checkpoint forbids and forces.
        stop_ids: tokens that end the answer; the one that does is emitted too.
        vocab_size: tokens from this id on are never chosen: a model may have more of them than its tokenizer.
        choice: number of this answer among those to the same prompt and seed; each draws its own numbers.
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
    """A request that has been admitted, what stands before its answer, and the answer so far."""

    id: int
    request: Request
    limit: int
    before: Sequence[int]
    answer: list[int] = field(default_factory=list)

    @property
    def position(self) -> int:
        return len(self.request.prompt) + len(self.answer)


class Engine:
    """Generates for many requests at once.

    Args:
        model: used as it is, in evaluation mode during a step.
        max_batch: requests that run side by side; the others wait in order.
        max_prefill_tokens: prompt tokens, padding included, that one step reads at most, unless a single prompt
            is longer; bounds the memory of a step.
        cache: what keys and values are kept as; "int8" takes a quarter of the memory of float32, but for scales.
    """

    def __init__(
        self,
        model: LanguageModel,
        *,
        max_batch: int = 16,
        max_prefill_tokens: int = 8192,
        cache: CacheType = "plain",
    ) -> None:
        self.model = model
        self.cache = cache
        self.max_batch = max_batch
        self.max_prefill_tokens = max_prefill_tokens
        self._waiting: deque[_Row] = deque()
        self._running: list[_Row] = []  # in the order of the rows of `_state`
        self._state: DecodeState | None = None
        self._next_id = 0

    @property
    def busy(self) -> bool:
        """Whether a request waits or runs."""
        return bool(self._waiting or self._running)

    def submit(self, request: Request) -> int:
        """Queue a request and return its id; raises UsageError for a prompt that the model cannot read."""
        room = room_for(self.model, request.prompt)
        limit = request.max_new_tokens if room is None else min(request.max_new_tokens, room)
        row = _Row(self._next_id, request, limit, before_answer(self.model, request.prompt))
        self._next_id += 1
        self._waiting.append(row)
        return row.id

    def cancel(self, id: int) -> None:
        """Forget a request; nothing more of it is emitted. A finished or unknown one is left alone."""
        self._waiting = deque(row for row in self._waiting if row.id != id)
        with inference(self.model):
            self._keep([row.id != id for row in self._running])

    def step(self) -> list[Emission]:
        """One token for every running request, those that just got a row included; [] where nothing is to do."""
        admitted = self._schedule()
        if not admitted and not self._running:
            return []
        with inference(self.model):
            emissions = self._sample(self._forward(admitted))
            self._keep([emission.finish is None for emission in emissions])
        return emissions

    def _schedule(self) -> list[_Row]:
        """Take waiting requests in order while rows and prefill budget last."""
        admitted: list[_Row] = []
        longest = 0
        while self._waiting and len(self._running) + len(admitted) < self.max_batch:
            longest = max(longest, len(self._waiting[0].request.prompt))
            if admitted and longest * (len(admitted) + 1) > self.max_prefill_tokens:
                break
            admitted.append(self._waiting.popleft())
        return admitted

    def _forward(self, admitted: list[_Row]) -> Tensor:
        """Logits (B, V) of the next token of each running row, after the admitted ones have joined them."""
        hidden: list[Tensor] = []
        states: list[DecodeState] = []
        if self._state is not None:
            hidden.append(decode(self.model, [row.answer[-1] for row in self._running], self._state))
            states.append(self._state)
        if admitted:
            state = kept_as(self.model.init_state(len(admitted)), self.cache)
            hidden.append(prefill(self.model, [row.request.prompt for row in admitted], state))
            states.append(state)
        self._state = states[0] if len(states) == 1 else type(states[0]).join(states)
        self._running.extend(admitted)
        return to_logits(self.model, torch.cat(hidden))

    def _sample(self, logits: Tensor) -> list[Emission]:
        emissions = []
        for row, scored in zip(self._running, choose(logits, self._running), strict=True):
            prompt = () if row.answer else self._echo(row.request)
            row.answer.append(scored.token)
            emissions.append(Emission(row.id, scored.token, scored.logprob, finish_of(row), scored.top, prompt))
        return emissions

    def _echo(self, request: Request) -> tuple[Scored, ...]:
        if not request.prompt_logprobs:
            return ()
        return prompt_logprobs(self.model, request.prompt, top=request.top_logprobs, vocab_size=request.vocab_size)

    def _keep(self, kept: list[bool]) -> None:
        if all(kept):
            return
        self._running = [row for row, keep in zip(self._running, kept, strict=True) if keep]
        if not self._running:
            self._state = None
        elif self._state is not None:
            rows = torch.tensor(kept).nonzero().squeeze(1)
            self._state = self._state.select(rows.to(self._state.lengths.device))
