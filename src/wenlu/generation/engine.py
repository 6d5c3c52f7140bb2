"""The engine: many requests, one model, one token for each at every step, or more where they were guessed.

    step() = schedule → guess → forward → sample

Requests run as soon as there is a place and room for them, and leave when they end. What a request answers is a
function of its prompt, rules and seed alone; its neighbours only share the time. Token ids only: text is above.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

from torch import Tensor

from wenlu.config import did_you_mean
from wenlu.errors import UsageError
from wenlu.generation.caches import CacheType, Packing
from wenlu.generation.choosing import Finish, Scored, Top, finish_of
from wenlu.generation.constraints import NONE, Constraints
from wenlu.generation.echo import prompt_logprobs
from wenlu.generation.forward import before_answer, inference, room_for
from wenlu.generation.guidance import Contrast
from wenlu.generation.guides import Guide
from wenlu.generation.memory import Memory, Reading
from wenlu.generation.pages import PagedMemory, has_pages, paged_memory
from wenlu.generation.scheduling import Scheduler
from wenlu.generation.seat import Part, Seat
from wenlu.generation.seen import Seen
from wenlu.generation.settings import Sampling
from wenlu.generation.speculation.drafter import Draft, Draftee, Drafter
from wenlu.generation.speculation.verify import settle
from wenlu.generation.states import JoinedStates, StateMemory
from wenlu.generation.stats import NO_PAGES, EngineStats
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
        pixel_values: (M, C, H, W) the pictures, or tiles of them, that the placeholders of the prompt stand for.
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
    pixel_values: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Emission:
    """The next token of a request.

    Attributes:
        logprob: in nats, under the model itself, before the rules.
        finish: None while the answer goes on.
        top: the likeliest tokens in its place under the model itself, where the request asks for them.
        prompt: the tokens of the prompt behind its first, where the request asks for them; with the first token.
        guessed: how many guesses the step read for the request; with its first token.
        kept: whether the token is one of them.
        cached: how many tokens of the prompt had been read before, for others; with the first token.
        error: why the answer ends here, without this token; `finish` is then "error".
    """

    id: int
    token: int
    logprob: float
    finish: Finish | None
    top: Top = ()
    prompt: tuple[Scored, ...] = ()
    guessed: int = 0
    kept: bool = False
    cached: int = 0
    error: str | None = None


@dataclass(slots=True)
class _Row:
    """A request that has been submitted, what stands before its answer, and its place."""

    id: int
    request: Request
    limit: int
    before: Sequence[int]
    seat: Seat
    error: str | None = None

    @property
    def answer(self) -> list[int]:
        """The answer so far."""
        return self.seat.answer

    @property
    def position(self) -> int:
        return len(self.request.prompt) + len(self.answer)

    def fail(self, error: str) -> None:
        self.error = error

    def drafted(self) -> Draftee:
        return Draftee(self.request, self.limit, self.before, list(self.answer), self.id)


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
            and answers then differ a little. The native call is invariant whatever is asked.
        drafter: who guesses what comes next; a decoder with keys and values reads the guesses with the last token in
            one call, and what it would not have answered itself is dropped. One engine's only.
        guesses: how many tokens a request is guessed at most in a step.
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
        drafter: Drafter | None = None,
        guesses: int = 4,
    ) -> None:
        self.model = model
        self.models: dict[str | None, LanguageModel] = {None: model}
        self.models.update(adapters or {})
        if invariant == "auto":
            invariant = next(model.parameters()).device.type == "cpu"
        self._memory: Memory
        if has_pages(model):
            self._memory = paged_memory(
                self.models,
                max_batch=max_batch,
                memory=memory,
                cache=cache,
                invariant=invariant,
                page_size=page_size,
                unit=unit,
                keeps_prefixes=prefix_cache,
                weights=weights,
            )
        else:
            _refuse_pages(model, cache, memory, weights)
            if drafter is not None:
                raise UsageError(
                    f"speculation: {type(model).__name__} keeps more than keys and values, so tokens cannot be taken "
                    "back from it; leave speculate out"
                )
            self._memory = StateMemory(self.models) if invariant else JoinedStates(self.models)
        self._scheduler = Scheduler(self._memory, max_batch=max_batch, max_prefill_tokens=max_prefill_tokens)
        self._rows: dict[int, _Row] = {}
        self._drafter = drafter
        self._guesses = guesses
        self._next_id = 0
        self._generated = 0
        self._guessed = 0
        self._accepted = 0
        self._prompt_tokens = 0

    @property
    def busy(self) -> bool:
        """Whether a request waits or runs."""
        return bool(self._rows)

    @property
    def most_tokens(self) -> int | None:
        """How many tokens one prompt and its answer may have for the memory to hold them; None: it grows."""
        pages = self._memory.pool if isinstance(self._memory, PagedMemory) else None
        return None if pages is None else pages.num_pages * pages.shape.page_size

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
        if self._drafter is not None:
            self._drafter.check(request, self.model)
        before = before_answer(self.model, request.prompt)
        with self._inference():
            seen = Seen.of(self.models[request.adapter], request.prompt, request.pixel_values)
        if seen is not None and (request.prompt_logprobs or self._drafter is not None):
            what = "prompt_logprobs" if request.prompt_logprobs else "speculate"
            raise UsageError(f"{what}: is for prompts without pictures; leave it out")
        salt = request.salt if seen is None else f"{request.salt}\0{seen.digest}"
        self._memory.check(len(request.prompt) + limit - 1)  # the last token is written, and never read
        id = self._next_id
        seat = Seat((request.priority, id), tuple(request.prompt), request.adapter, salt, seen)
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
            if self._drafter is not None:
                self._drafter.forget(id)

    def step(self) -> list[Emission]:
        """The next token of every request whose prompt is read, and those that were guessed right before it, in order;
        perhaps none, while long prompts are read."""
        emissions: list[Emission] = []
        with self._inference():
            parts = self._scheduler.schedule()
            drafts = self._guess(parts)
            if drafts:
                parts = [replace(part, guesses=_tokens(drafts.get(part.seat.id, ()))) for part in parts]
            for reading in self._memory.read(parts):
                emissions += self._sample(reading, drafts)
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
            guessed=self._guessed,
            accepted=self._accepted,
            prompt_tokens=self._prompt_tokens,
            pages=NO_PAGES if pages is None else pages.stats(),
        )

    @contextmanager
    def _inference(self) -> Iterator[None]:
        with ExitStack() as stack:
            for model in self.models.values():
                stack.enter_context(inference(model))
            yield

    def _guess(self, parts: Sequence[Part]) -> dict[int, Draft]:
        """Guesses behind the parts that have room for some, by request."""
        rows = [self._rows[part.seat.id] for part in parts if part.completes and part.seat.ahead]
        if self._drafter is None or not rows:
            return {}
        drafts = self._drafter.propose([row.drafted() for row in rows], [row.seat.ahead for row in rows])
        return {row.id: draft for row, draft in zip(rows, drafts, strict=True)}

    def _sample(self, reading: Reading, drafts: Mapping[int, Draft]) -> list[Emission]:
        """Choose the next token of each row, and as long as it was guessed, the one behind."""
        places: dict[int, list[int]] = {}
        for place, seat in enumerate(reading.seats):
            places.setdefault(seat.id, []).append(place)
        found: dict[int, list[Emission]] = {id: [] for id in places}
        going, turn = list(places), 0
        while going:
            rows = [self._rows[id] for id in going]
            chosen = [places[id][turn] for id in going]
            logits = reading.logits if len(chosen) == len(reading.seats) else reading.logits[chosen]
            guesses = [drafts[id][turn] if turn < len(places[id]) - 1 else None for id in going]
            going = []
            for row, guess, scored in zip(rows, guesses, settle(logits, rows, guesses), strict=True):
                kept = guess is not None and guess.token == scored.token
                emission = self._take(row, scored, guessed=0 if turn else len(places[row.id]) - 1, kept=kept)
                found[row.id].append(emission)
                if kept and emission.finish is None:
                    going.append(row.id)
            turn += 1
        for id in found:
            self._settled(self._rows[id])
        return [emission for emissions in found.values() for emission in emissions]

    def _take(self, row: _Row, scored: Scored, *, guessed: int, kept: bool) -> Emission:
        prompt, cached = ((), 0) if row.answer else (self._echo(row.request), row.seat.found or 0)
        if not row.answer:
            self._prompt_tokens += len(row.request.prompt)
        row.answer.append(scored.token)
        self._generated += 1
        self._guessed += guessed
        self._accepted += kept
        finish = finish_of(row)
        if row.error is not None:
            finish = "error"
        return Emission(
            row.id, scored.token, scored.logprob, finish, scored.top, prompt, guessed, kept, cached, row.error
        )

    def _settled(self, row: _Row) -> None:
        """Count the guesses that stayed as read, and give back the room of the others."""
        seat = row.seat
        seat.read = seat.known - 1
        if self._drafter is not None:
            self._memory.trim(seat)
            seat.ahead = max(0, min(self._guesses, row.limit - len(row.answer) - 1))

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


def _tokens(draft: Draft) -> tuple[int, ...]:
    return tuple(guess.token for guess in draft)
