"""One `Generate` while it is answered: requests of the engine in, events out."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from wenlu.bundle import Bundle
from wenlu.config import check
from wenlu.errors import ConfigError, WenluError
from wenlu.generation.choosing import Scored
from wenlu.generation.echo import check_echo
from wenlu.generation.engine import Emission, Engine
from wenlu.generation.engine import Request as EngineRequest
from wenlu.generation.settings import Sampling, SamplingConfig
from wenlu.generation.text import Answer, begins_text, constraints
from wenlu.models.layers.encoder_decoder import EncoderDecoder
from wenlu.server.engine.forms import Forms
from wenlu.server.engine.problem import Problem, too_long
from wenlu.server.engine.prompts import encoded
from wenlu.server.engine.served import Served
from wenlu.server.engine.tools import calling
from wenlu.server.messages import (
    ChatPrompt,
    Delta,
    Done,
    Event,
    Failed,
    Finish,
    Form,
    Generate,
    Started,
    TextPrompt,
    TokenInfo,
)

MOST_TOP = 20
_UNBOUNDED = 1 << 30
"""Tokens of an answer, where nothing bounds it but the deadline."""


@dataclass(frozen=True)
class Prepared:
    """A request as the engine takes it.

    Attributes:
        text: of the prompt, where it is to be told. settings: with the strings that end an answer.
    """

    asked: Generate
    bundle: Bundle
    ids: list[int]
    text: str
    seed: int
    settings: SamplingConfig
    requests: Sequence[EngineRequest]


def prepare(asked: Generate, served: Served, most_tokens: int | None, forms: Forms) -> Prepared:
    """Everything that can be done before the engine is asked; raises Problem.

    Args:
        most_tokens: of prompt and answer, that there is memory for.
    """
    bundle = served.bundle
    if not isinstance(bundle, Bundle) or not served.writes:
        does = ", ".join(served.info.abilities)
        raise Problem("request", f"{served.name} writes no text; it can be asked to {does}")
    _check_counts(asked)
    settings = _settings(asked)
    ids = encoded(bundle, asked.prompt)
    limit = _limit(bundle, ids, asked.max_tokens, most_tokens)
    rules = _rules(asked, bundle)
    form, param = asked.form, None
    if isinstance(asked.prompt, ChatPrompt) and (grammar := calling(asked.prompt)) is not None:
        if form is not None:
            raise Problem("request", "an answer that has to call functions can have no other form", param="form")
        form, param = Form(grammar=grammar), "prompt.tools"
    compiled = None if form is None else forms.read(bundle, form, param=param)
    if form is not None and asked.ignore_end:
        raise Problem("request", "ignore_end goes on where the form ends the answer; remove one", param="ignore_end")
    echoes = asked.echo and asked.logprobs is not None
    try:
        if echoes:
            check_echo(bundle.model)
        said = constraints(bundle)
    except WenluError as error:
        raise Problem.of(error, param="echo" if echoes else None) from error
    seed = secrets.randbits(53) if asked.seed is None else asked.seed % 2**64
    begins = begins_text(bundle, ids)
    requests = [
        EngineRequest(
            prompt=ids,
            max_new_tokens=limit,
            rules=rules,
            constraints=said,
            stop_ids=frozenset() if asked.ignore_end else bundle.end_ids,
            vocab_size=bundle.tokenizer.vocab_size,
            seed=seed,
            choice=choice,
            priority=asked.priority,
            salt=asked.salt,
            adapter=served.adapter,
            top_logprobs=asked.logprobs or 0,
            prompt_logprobs=echoes and choice == 0,
            guide=None if compiled is None else compiled.guide(begins),
        )
        for choice in range(max(asked.n, asked.best_of))
    ]
    text = ""
    if asked.echo:
        is_text = isinstance(asked.prompt, TextPrompt) and asked.prompt.suffix is None
        text = asked.prompt.text if is_text and isinstance(asked.prompt, TextPrompt) else bundle.tokenizer.decode(ids)
    return Prepared(asked, bundle, ids, text, seed, settings, requests)


class Writing:
    """A prepared request in an engine. Raises Problem where the engine does not take it."""

    def __init__(self, prepared: Prepared, engine: Engine) -> None:
        self.prepared = prepared
        self.id = prepared.asked.id
        self._engine = engine
        self._is_started = False
        self._choices: dict[int, _Choice] = {}
        for number, request in enumerate(prepared.requests):
            try:
                engine_id = engine.submit(request)
            except WenluError as error:
                self.cancel()
                raise Problem.of(error, param="max_tokens") from error
            answer = Answer(prepared.bundle, prepared.ids, prepared.settings, tells_broken=False)
            self._choices[engine_id] = _Choice(number, answer)

    @property
    def engine_ids(self) -> list[int]:
        return list(self._choices)

    @property
    def is_started(self) -> bool:
        """Whether the prompt was read."""
        return self._is_started

    def take(self, emission: Emission) -> Iterator[Event]:
        """What a token says to whoever asked."""
        if not self._is_started:
            self._is_started = True
            yield self._started(emission)
        choice = self._choices[emission.id]
        if choice.answer.finish is not None:
            return
        if emission.error is not None:
            self.cancel()
            yield Failed(id=self.id, fault="request", message=emission.error, param="form")
            return
        if self.prepared.asked.max_tokens == 0:
            yield from self._close(choice, Delta(id=self.id, choice=choice.number, text="", count=0, finish="length"))
            return
        tokens: tuple[TokenInfo, ...] = ()
        if self.prepared.asked.logprobs is not None:
            begins = not choice.answer.ids and begins_text(self.prepared.bundle, self.prepared.ids)
            tokens = (self._told(Scored(emission.token, emission.logprob, emission.top), begins=begins),)
        piece = choice.answer.take(emission)
        assert piece.finish != "error", "told above"
        delta = Delta(
            id=self.id,
            choice=choice.number,
            text=piece.text,
            count=1,
            tokens=tokens,
            finish=piece.finish,
            stopped_by=choice.answer.stopped_by,
        )
        if piece.finish is not None and emission.finish is None:
            self._engine.cancel(emission.id)
        yield from self._close(choice, delta)

    def end(self) -> Iterator[Event]:
        """What is there, since the time is over."""
        if not self._is_started:
            self.cancel()
            yield Failed(
                id=self.id, fault="deadline", message="the prompt was not read in time; ask again when less is asked"
            )
            return
        for engine_id, choice in self._choices.items():
            if choice.answer.finish is None:
                self._engine.cancel(engine_id)
                piece = choice.answer.cut()
                delta = Delta(
                    id=self.id, choice=choice.number, text=piece.text, count=0, finish="length", deadline=True
                )
                yield from self._close(choice, delta)

    def cancel(self) -> None:
        for engine_id in self._choices:
            self._engine.cancel(engine_id)

    def _close(self, choice: _Choice, delta: Delta) -> Iterator[Event]:
        """Tell a delta, or keep it until the best answers are known; and the end after the last one."""
        asked = self.prepared.asked
        if asked.best_of > asked.n:
            choice.held.append(delta)
        else:
            yield delta
        if delta.finish is None:
            return
        if choice.answer.finish is None:
            choice.answer.finish = delta.finish
        if any(other.answer.finish is None for other in self._choices.values()):
            return
        if asked.best_of > asked.n:
            ranked = sorted(self._choices.values(), key=lambda each: -each.mean_logprob)  # equals stay as drawn
            for number, best in enumerate(ranked[: asked.n]):
                yield best.joined(number)
        yield Done(id=self.id)

    def _started(self, emission: Emission) -> Started:
        prepared = self.prepared
        asked = prepared.asked
        prompt: tuple[TokenInfo, ...] = ()
        if asked.echo:
            first = TokenInfo(prepared.ids[0], utf8_of(prepared.bundle, prepared.ids[0], begins=True))
            if asked.logprobs is None:
                rest = tuple(TokenInfo(id, utf8_of(prepared.bundle, id)) for id in prepared.ids[1:])
            else:
                rest = tuple(self._told(scored) for scored in emission.prompt)
            prompt = (first, *rest)
        return Started(
            id=self.id,
            prompt_tokens=len(prepared.ids),
            cached_tokens=emission.cached,
            seed=prepared.seed,
            prompt=prompt,
            text=prepared.text,
        )

    def _told(self, scored: Scored, *, begins: bool = False) -> TokenInfo:
        bundle = self.prepared.bundle
        top = tuple(TokenInfo(id, utf8_of(bundle, id, begins=begins), logprob) for id, logprob in scored.top)
        return TokenInfo(scored.token, utf8_of(bundle, scored.token, begins=begins), scored.logprob, top)


@dataclass(eq=False)
class _Choice:
    number: int
    answer: Answer
    held: list[Delta] = field(default_factory=list)

    @property
    def mean_logprob(self) -> float:
        return sum(self.answer.logprobs) / max(1, len(self.answer.logprobs))

    def joined(self, number: int) -> Delta:
        """The whole answer as one delta."""
        last = self.held[-1]
        finish: Finish | None = last.finish
        return Delta(
            id=last.id,
            choice=number,
            text="".join(delta.text for delta in self.held),
            count=sum(delta.count for delta in self.held),
            tokens=tuple(token for delta in self.held for token in delta.tokens),
            finish=finish,
            stopped_by=last.stopped_by,
            deadline=last.deadline,
        )


def utf8_of(bundle: Bundle, id: int, *, begins: bool = False) -> bytes:
    """What a token adds to a text; of a special one, which adds nothing, its name."""
    tokenizer = bundle.tokenizer
    if id >= tokenizer.vocab_size:
        return b""  # a row that only makes the embedding a round size
    if id in _specials(bundle):
        return tokenizer.token(id).encode()
    return tokenizer.first_spelling(id) if begins else tokenizer.spelling(id)


def _specials(bundle: Bundle) -> frozenset[int]:
    return bundle.tokenizer.stream().pieces.special


def _limit(bundle: Bundle, ids: Sequence[int], wanted: int | None, most_tokens: int | None) -> int:
    """How many tokens the answer may have; raises Problem where not one may."""
    if not ids:
        raise Problem("request", "the prompt has no tokens; give at least one character", param="prompt")
    context = bundle.config.context
    if isinstance(bundle.model, EncoderDecoder):
        if context is not None and len(ids) > context:
            raise too_long(context, len(ids))
        room = context
    else:
        bounds = [bound for bound in (context, most_tokens) if bound is not None]
        context = min(bounds, default=None)
        room = None if context is None else context - len(ids)
        if context is not None and room is not None and room < 1:
            raise too_long(context, len(ids))
    limit = _UNBOUNDED if wanted is None else max(1, wanted)
    return limit if room is None else min(limit, room)


def _check_counts(asked: Generate) -> None:
    """Raise Problem for what no number can mean."""
    least = {"n": (asked.n, 1), "best_of": (asked.best_of, 0), "max_tokens": (asked.max_tokens, 0)}
    for name, (given, smallest) in least.items():
        if given is not None and given < smallest:
            raise Problem("request", f"{name} is {given}, and at least {smallest} is expected", param=name)
    if asked.logprobs is not None and not 0 <= asked.logprobs <= MOST_TOP:
        raise Problem(
            "request",
            f"logprobs is {asked.logprobs}; 0 to {MOST_TOP} of the likeliest tokens are told",
            param="logprobs",
        )


def _settings(asked: Generate) -> SamplingConfig:
    try:
        return check(SamplingConfig, {"stop": asked.stop}, where="stop")
    except ConfigError as error:
        raise Problem("request", _without_place(error, "stop"), param="stop") from error


def _rules(asked: Generate, bundle: Bundle) -> Sampling:
    given = {name: getattr(asked.rules, name) for name in asked.rules.__struct_fields__}
    size = bundle.tokenizer.vocab_size
    strange = next((id for id in asked.rules.logit_bias if not 0 <= id < size), None)
    if strange is not None:
        raise Problem("request", f"token {strange} is none of this model's {size:,}", param="rules.logit_bias")
    try:
        return check(Sampling, given, where="rules")
    except ConfigError as error:
        message = _without_place(error, "rules")
        raise Problem("request", message, param=f"rules.{message.partition(':')[0]}") from error


def _without_place(error: ConfigError, where: str) -> str:
    """A complaint in a line, without the heading that names where the settings stand."""
    return " ".join(str(error).removeprefix(f"{where}:").split())
