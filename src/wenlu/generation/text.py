"""Text in, text out: a bundle's tokenizer around the engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wenlu.bundle import Bundle
from wenlu.errors import UsageError
from wenlu.generation.beam import Hypothesis, beam_search
from wenlu.generation.constraints import Constraints, constraints_of
from wenlu.generation.engine import Engine, Finish, Request
from wenlu.generation.forward import room_for
from wenlu.generation.settings import SamplingConfig
from wenlu.generation.source import source_ids
from wenlu.generation.stops import StopStrings
from wenlu.models.layers.encoder_decoder import EncoderDecoder
from wenlu.models.weights.generation_config import FILE as GENERATION_CONFIG
from wenlu.progress import QUIET, Progress


@dataclass(frozen=True)
class Choice:
    """One answer to a prompt.

    Attributes:
        text: without prompt, end token and stop string.
        tokens: how many were generated, the end token or stop string included.
        logprob: their sum in nats under the model itself; for beams, after penalties.
        ids: these tokens.
    """

    text: str
    tokens: int
    logprob: float
    finish: Finish
    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Completion:
    """A prompt with its `n` answers: as drawn, or best beam first."""

    prompt: str
    choices: tuple[Choice, ...]

    @property
    def text(self) -> str:
        """The first answer."""
        return self.choices[0].text


@dataclass(frozen=True)
class Piece:
    """What one step adds to a streamed answer: perhaps no text yet, since characters and stop strings
    may span tokens.

    Attributes:
        tokens: generated so far.
        finish: None while the answer goes on.
    """

    text: str
    tokens: int
    finish: Finish | None


def stream_text(bundle: Bundle, prompt: str, sampling: SamplingConfig) -> Iterator[str]:
    """The answer to `prompt` in pieces of whole characters, as they come; raises as `stream`."""
    return (piece.text for piece in stream(bundle, prompt, sampling) if piece.text)


def stream(bundle: Bundle, prompt: str, sampling: SamplingConfig) -> Iterator[Piece]:
    """The answer to `prompt`, a piece a token.

    Raises:
        UsageError: at once, for several answers or beams, which do not stream, or a prompt that does not fit.
    """
    return stream_ids(bundle, encode_prompt(bundle, prompt), sampling)


def stream_ids(bundle: Bundle, prompt: list[int], sampling: SamplingConfig) -> Iterator[Piece]:
    """As `stream`, for a prompt that is encoded already."""
    check_streams(sampling)
    engine = Engine(bundle.model, max_batch=1, cache=sampling.cache)
    engine.submit(_request(bundle, prompt, sampling, choice=0))
    return _pieces(engine, _Answer(bundle, prompt, sampling))


def check_streams(sampling: SamplingConfig) -> None:
    """Raise UsageError for settings whose answer is known only at its end."""
    if sampling.n > 1 or sampling.num_beams > 1:
        raise UsageError(
            f"n={sampling.n}, num_beams={sampling.num_beams}: only one answer streams, and no beams; set both to 1"
        )


def complete(
    bundle: Bundle, prompts: Sequence[str], sampling: SamplingConfig, *, progress: Progress = QUIET
) -> list[Completion]:
    """Answer all `prompts`, `sampling.max_batch` side by side, in their order.

    Each answer is that of its prompt alone. Raises UsageError for a prompt that does not fit the model's context.
    """
    ids = [encode_prompt(bundle, prompt) for prompt in prompts]
    choices: dict[int, tuple[Choice, ...]] = {}
    progress.start("generate", total=len(prompts), unit="prompts")
    for row, found in answers(bundle, ids, sampling):
        choices[row] = found
        progress.update(len(choices))
    progress.finish(
        f"{len(prompts)} prompts, {sum(choice.tokens for row in choices.values() for choice in row)} tokens"
    )
    return [Completion(prompt, choices[row]) for row, prompt in enumerate(prompts)]


def answers(
    bundle: Bundle, prompts: Sequence[list[int]], sampling: SamplingConfig
) -> Iterator[tuple[int, tuple[Choice, ...]]]:
    """The index of each encoded prompt with its `n` choices, as soon as they are complete, long prompts first."""
    order = sorted(range(len(prompts)), key=lambda row: -len(prompts[row]))  # prompts of like length pad least
    return (_search if sampling.num_beams > 1 else _generate)(bundle, prompts, order, sampling)


def encode_prompt(bundle: Bundle, prompt: str) -> list[int]:
    """The ids of `prompt` behind the tokenizer's opening, or of a source; raises UsageError where no answer could
    follow."""
    if isinstance(bundle.model, EncoderDecoder):
        ids = source_ids(bundle, prompt)
    else:
        bundle.require_causal()
        ids = [*bundle.tokenizer.opening, *bundle.tokenizer.encode(prompt)]
    room_for(bundle.model, ids)
    return ids


class _Answer:
    """Gathers the tokens of one answer into text."""

    def __init__(self, bundle: Bundle, prompt: Sequence[int], sampling: SamplingConfig) -> None:
        tokenizer = bundle.tokenizer
        self.ids: list[int] = []
        self.logprob = 0.0
        self.finish: Finish | None = None
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

    def add(self, token: int, logprob: float, finish: Finish | None) -> Piece:
        """Take the next token; at the end of the answer all text that was held back comes with it."""
        self.ids.append(token)
        self.logprob += logprob
        self.finish = finish
        text = "" if token in self._hidden else self._stops.push(self._decoder.push(token))
        if self.finish is not None:
            text += self._stops.push(self._decoder.flush())
            text += self._stops.flush()
        if self._stops.stopped:
            self.finish = "stop"
        self.parts.append(text)
        return Piece(text, len(self.ids), self.finish)

    def choice(self) -> Choice:
        assert self.finish is not None, "the answer is not complete"
        return Choice("".join(self.parts), len(self.ids), self.logprob, self.finish, tuple(self.ids))


def _pieces(engine: Engine, answer: _Answer) -> Iterator[Piece]:
    while answer.finish is None:
        for emission in engine.step():
            yield answer.add(emission.token, emission.logprob, emission.finish)


def _generate(
    bundle: Bundle, prompts: Sequence[list[int]], order: Sequence[int], sampling: SamplingConfig
) -> Iterator[tuple[int, tuple[Choice, ...]]]:
    engine = Engine(bundle.model, max_batch=sampling.max_batch, cache=sampling.cache)
    running: dict[int, tuple[int, _Answer]] = {}
    rows: dict[int, list[_Answer]] = {row: [] for row in order}
    for row in order:
        for choice in range(sampling.n):
            id = engine.submit(_request(bundle, prompts[row], sampling, choice))
            rows[row].append(_Answer(bundle, prompts[row], sampling))
            running[id] = row, rows[row][-1]
    while engine.busy:
        for emission in engine.step():
            row, answer = running[emission.id]
            answer.add(emission.token, emission.logprob, emission.finish)
            if answer.finish is None:
                continue
            engine.cancel(emission.id)  # a stop string ends what the engine would go on with
            if all(other.finish is not None for other in rows[row]):
                yield row, tuple(other.choice() for other in rows.pop(row))


def _search(
    bundle: Bundle, prompts: Sequence[list[int]], order: Sequence[int], sampling: SamplingConfig
) -> Iterator[tuple[int, tuple[Choice, ...]]]:
    for row in order:
        hypotheses = beam_search(
            bundle.model,
            prompts[row],
            num_beams=sampling.num_beams,
            max_new_tokens=sampling.max_new_tokens,
            stop_ids=_stop_ids(bundle, sampling),
            length_penalty=sampling.length_penalty,
            rules=sampling.rules(),
            constraints=constraints(bundle),
            vocab_size=bundle.tokenizer.vocab_size,
        )
        best = hypotheses[: sampling.n]
        yield row, tuple(_read(bundle, prompts[row], sampling, hypothesis) for hypothesis in best)


def _read(bundle: Bundle, prompt: Sequence[int], sampling: SamplingConfig, hypothesis: Hypothesis) -> Choice:
    answer = _Answer(bundle, prompt, sampling)
    for token in hypothesis.tokens[:-1]:
        answer.add(token, 0.0, None)
    answer.add(hypothesis.tokens[-1], hypothesis.logprob, hypothesis.finish)
    return answer.choice()


def _request(bundle: Bundle, prompt: list[int], sampling: SamplingConfig, choice: int) -> Request:
    return Request(
        prompt=prompt,
        max_new_tokens=sampling.max_new_tokens,
        rules=sampling.rules(),
        constraints=constraints(bundle),
        stop_ids=_stop_ids(bundle, sampling),
        vocab_size=bundle.tokenizer.vocab_size,
        seed=sampling.seed,
        choice=choice,
    )


def constraints(bundle: Bundle) -> Constraints:
    """What generation_config.json forbids and forces; raises WeightsError."""
    is_seq2seq = isinstance(bundle.model, EncoderDecoder)
    said = {name: value for name, value in bundle.generation.items() if is_seq2seq or name != "forced_bos_token_id"}
    return constraints_of(said, bundle.end_ids, where=f"{bundle.path / GENERATION_CONFIG}")


def _stop_ids(bundle: Bundle, sampling: SamplingConfig) -> frozenset[int]:
    return frozenset() if sampling.ignore_end else bundle.end_ids
