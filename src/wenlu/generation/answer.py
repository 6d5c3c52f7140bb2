"""One answer: its tokens gathered into text, piece by piece and whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wenlu.bundle import Bundle
from wenlu.generation.choosing import Finish, Scored, Top
from wenlu.generation.engine import Emission
from wenlu.generation.settings import SamplingConfig
from wenlu.generation.stops import StopStrings
from wenlu.models.layers.encoder_decoder import EncoderDecoder


@dataclass(frozen=True)
class Choice:
    """One answer to a prompt.

    Attributes:
        text: without prompt, end token and stop string.
        tokens: how many were generated, the end token or stop string included.
        logprob: their sum in nats under the model itself; for beams, after penalties.
        ids: these tokens.
        logprobs: of each of them; none for beams.
        top: the likeliest in place of each, where `top_logprobs` asks for them.
        prompt: the tokens of the prompt behind its first, where `prompt_logprobs` asks for them.
        guessed: tokens that were guessed, with `speculate`. kept: those of them that stayed.
        error: why it could not go on, where `finish` is "error".
    """

    text: str
    tokens: int
    logprob: float
    finish: Finish
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    top: tuple[Top, ...] = ()
    prompt: tuple[Scored, ...] = ()
    guessed: int = 0
    kept: int = 0
    error: str | None = None

    @property
    def mean_logprob(self) -> float:
        """What answers of different lengths are ranked by."""
        return self.logprob / self.tokens


@dataclass(frozen=True)
class Piece:
    """What one step adds to a streamed answer: perhaps no text yet, since characters and stop strings
    may span tokens.

    Attributes:
        tokens: generated so far. guessed: tokens that were guessed so far, and kept: those that stayed.
        finish: None while the answer goes on.
    """

    text: str
    tokens: int
    finish: Finish | None
    guessed: int = 0
    kept: int = 0


class Answer:
    """Gathers the tokens of one answer into text.

    Args:
        tells_broken: whether the beginning of a character, where the answer is over, is told as U+FFFD.
    """

    def __init__(
        self, bundle: Bundle, prompt: Sequence[int], sampling: SamplingConfig, *, tells_broken: bool = True
    ) -> None:
        tokenizer = bundle.tokenizer
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.top: list[Top] = []
        self.prompt: tuple[Scored, ...] = ()
        self.finish: Finish | None = None
        self.error: str | None = None
        self.guessed = 0
        self.kept = 0
        self._tells_broken = tells_broken
        self.parts: list[str] = []
        self._stops = StopStrings(sampling.stop)
        self._hidden: frozenset[int] = frozenset()
        if not isinstance(bundle.model, EncoderDecoder):
            self._decoder = tokenizer.stream()
            for id in prompt:  # so that the space at the seam comes out as in the whole text
                self._decoder.push(id)
            return
        marks = {tokenizer.special_tokens[mark] for mark in tokenizer.marks}
        shown = not marks.isdisjoint(prompt)  # who asks with gaps is answered with gaps
        self._hidden = frozenset(tokenizer.special_tokens.values()) - (marks if shown else set())
        self._decoder = tokenizer.stream(skip_special=not shown)

    def take(self, emission: Emission) -> Piece:
        """Take the next token with what is told of it."""
        self.prompt += emission.prompt
        self.logprobs.append(emission.logprob)
        self.top += [emission.top] if emission.top else []
        self.guessed += emission.guessed
        self.kept += emission.kept
        self.error = emission.error
        return self.add(emission.token, emission.finish)

    def add(self, token: int, finish: Finish | None) -> Piece:
        """Take the next token; at the end of the answer all text that was held back comes with it."""
        self.ids.append(token)
        self.finish = finish
        text = "" if token in self._hidden or self.error else self._stops.push(self._decoder.push(token))
        return self._told(text)

    def cut(self) -> Piece:
        """End the answer here, as at its greatest length; what was held back comes with it."""
        self.finish = "length"
        return self._told("")

    @property
    def stopped_by(self) -> str | None:
        """The stop string that ended it."""
        return self._stops.found

    def _told(self, text: str) -> Piece:
        if self.finish is not None:
            text += self._stops.push(self._decoder.flush(tells_broken=self._tells_broken))
            text += self._stops.flush()
        if self._stops.stopped:
            self.finish = "stop"
        self.parts.append(text)
        return Piece(text, len(self.ids), self.finish, self.guessed, self.kept)

    def choice(self) -> Choice:
        """The whole answer, once it has ended."""
        assert self.finish is not None, "the answer is not complete"
        return Choice(
            text="".join(self.parts),
            tokens=len(self.ids),
            logprob=sum(self.logprobs),
            finish=self.finish,
            ids=tuple(self.ids),
            logprobs=tuple(self.logprobs),
            top=tuple(self.top),
            prompt=self.prompt,
            guessed=self.guessed,
            kept=self.kept,
            error=self.error,
        )
