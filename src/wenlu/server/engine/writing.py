"""One `Generate` while it is answered: requests of the engine in, events out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from wenlu.bundle import Bundle
from wenlu.errors import WenluError
from wenlu.generation.answer import Answer
from wenlu.generation.choosing import Scored
from wenlu.generation.engine import Emission, Engine
from wenlu.generation.text import begins_text
from wenlu.server.engine.preparing import Prepared
from wenlu.server.engine.problem import Problem
from wenlu.server.messages import Delta, Done, Event, Failed, Finish, Started, TokenInfo


class Writing:
    """A prepared request in an engine. Raises Problem where the engine does not take it."""

    def __init__(self, prepared: Prepared, engine: Engine) -> None:
        self.prepared = prepared
        self.id = prepared.asked.id
        self._engine = engine
        self._is_started = False
        self._choices: dict[int, _Choice] = {}
        for number, (request, answer) in enumerate(zip(prepared.requests, prepared.answers, strict=True)):
            try:
                engine_id = engine.submit(request)
            except WenluError as error:
                self.cancel()
                raise Problem.of(error, param="max_tokens") from error
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
