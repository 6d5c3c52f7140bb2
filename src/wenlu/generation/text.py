"""Text in, text out: a bundle's tokenizer around the engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from wenlu.bundle import Bundle
from wenlu.errors import UsageError
from wenlu.generation.answer import Answer, Choice, Piece
from wenlu.generation.beam import Hypothesis, beam_search
from wenlu.generation.constraints import Constraints, constraints_of
from wenlu.generation.echo import check_echo
from wenlu.generation.engine import Engine, Request
from wenlu.generation.forward import room_for
from wenlu.generation.guidance import Contrast
from wenlu.generation.guides import compile_guide
from wenlu.generation.native_runner import packing_of
from wenlu.generation.settings import SamplingConfig
from wenlu.generation.source import source_ids
from wenlu.generation.speculation.chosen import drafter_of
from wenlu.models.layers.encoder_decoder import EncoderDecoder
from wenlu.models.weights.generation_config import FILE as GENERATION_CONFIG
from wenlu.progress import QUIET, Progress


@dataclass(frozen=True)
class Completion:
    """A prompt with its `n` answers: as drawn, or the best one first of beams and of `best_of`."""

    prompt: str
    choices: tuple[Choice, ...]

    @property
    def text(self) -> str:
        """The first answer."""
        return self.choices[0].text


def stream_text(bundle: Bundle, prompt: str, sampling: SamplingConfig) -> Iterator[str]:
    """The answer to `prompt` in pieces of whole characters, as they come, the best one of `best_of` as a whole.

    Raises as `stream`.
    """
    if sampling.best_of > 1 and sampling.n == 1:
        return iter([complete(bundle, [prompt], sampling)[0].text])
    return (piece.text for piece in stream(bundle, prompt, sampling) if piece.text)


def stream(bundle: Bundle, prompt: str, sampling: SamplingConfig) -> Iterator[Piece]:
    """The answer to `prompt`, a piece a token.

    Raises:
        UsageError: at once, for several answers or beams, which do not stream, or a prompt that does not fit.
    """
    return stream_ids(bundle, encode_prompt(bundle, prompt), sampling)


def stream_ids(
    bundle: Bundle, prompt: list[int], sampling: SamplingConfig, pixel_values: Tensor | None = None
) -> Iterator[Piece]:
    """As `stream`, for a prompt that is encoded already, and its pictures (M, C, H, W)."""
    check_streams(sampling)
    request = replace(Requests(bundle, sampling).make(prompt, choice=0), pixel_values=pixel_values)
    engine = engine_of(bundle, sampling, max_batch=1)
    engine.submit(request)
    return _pieces(engine, Answer(bundle, prompt, sampling))


def engine_of(bundle: Bundle, sampling: SamplingConfig, *, max_batch: int) -> Engine:
    """An engine as the settings have it; raises UsageError for what the model does not have."""
    invariant, speculates = sampling.invariant, sampling.speculate != "off"
    if invariant is True and speculates and packing_of(bundle.model, sampling.weights) is None:
        raise UsageError(
            f"invariant=true and speculate={sampling.speculate!r}: torch reads this model, guesses one by one then, "
            "which takes longer than none; remove one of the two"
        )
    shares = max_batch > 1 or speculates
    if invariant == "auto" and shares and packing_of(bundle.model, sampling.weights) is None:
        invariant = False  # torch would read one text, and one guess, at a time
    return Engine(
        bundle.model,
        max_batch=max_batch,
        cache=sampling.cache,
        weights=sampling.weights,
        invariant=invariant,
        drafter=drafter_of(bundle, sampling, max_batch=max_batch, invariant=invariant is not False),
        guesses=sampling.speculate_tokens,
    )


def check_streams(sampling: SamplingConfig) -> None:
    """Raise UsageError for settings whose answer is known only at its end."""
    if sampling.n > 1 or sampling.num_beams > 1:
        raise UsageError(
            f"n={sampling.n}, num_beams={sampling.num_beams}: only one answer streams, and no beams; set both to 1"
        )
    if sampling.best_of > 1:
        raise UsageError(f"best_of={sampling.best_of}: the best answer is known only when all are there; remove it")


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
        if (error := next((choice.error for choice in found if choice.error is not None), None)) is not None:
            raise UsageError(error)
        choices[row] = found
        progress.update(len(choices))
    progress.finish(
        f"{len(prompts)} prompts, {sum(choice.tokens for row in choices.values() for choice in row)} tokens"
    )
    return [Completion(prompt, choices[row]) for row, prompt in enumerate(prompts)]


def answers(
    bundle: Bundle,
    prompts: Sequence[list[int]],
    sampling: SamplingConfig,
    pictures: Sequence[Tensor] | None = None,
) -> Iterator[tuple[int, tuple[Choice, ...]]]:
    """The index of each encoded prompt with its `n` choices, as soon as they are complete, long prompts first.

    Args:
        pictures: (M, C, H, W) of each prompt, where they have any.
    """
    order = sorted(range(len(prompts)), key=lambda row: -len(prompts[row]))  # prompts of like length pad least
    return (_search if sampling.num_beams > 1 else _generate)(bundle, prompts, order, sampling, pictures)


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


def _pieces(engine: Engine, answer: Answer) -> Iterator[Piece]:
    while True:
        for emission in engine.step():
            piece = answer.take(emission)
            if answer.error is not None:
                raise UsageError(answer.error)
            yield piece
            if piece.finish is not None:  # perhaps by a stop string, which the engine does not know
                return


def _generate(
    bundle: Bundle,
    prompts: Sequence[list[int]],
    order: Sequence[int],
    sampling: SamplingConfig,
    pictures: Sequence[Tensor] | None,
) -> Iterator[tuple[int, tuple[Choice, ...]]]:
    requests = Requests(bundle, sampling)
    engine = engine_of(bundle, sampling, max_batch=sampling.max_batch)
    running: dict[int, tuple[int, Answer]] = {}
    rows: dict[int, list[Answer]] = {row: [] for row in order}
    for row in order:
        for choice in range(sampling.drawn):
            shown = None if pictures is None else pictures[row]
            id = engine.submit(replace(requests.make(prompts[row], choice), pixel_values=shown))
            rows[row].append(Answer(bundle, prompts[row], sampling))
            running[id] = row, rows[row][-1]
    while engine.busy:
        for emission in engine.step():
            row, answer = running[emission.id]
            if answer.finish is not None:  # by a stop string, in this step, before a guess that stayed
                continue
            if answer.take(emission).finish is None:
                continue
            engine.cancel(emission.id)  # a stop string ends what the engine would go on with
            if all(other.finish is not None for other in rows[row]):
                yield row, _given([other.choice() for other in rows.pop(row)], sampling)


def _given(choices: list[Choice], sampling: SamplingConfig) -> tuple[Choice, ...]:
    """As many of the answers as were asked for: as drawn, or the best ones."""
    if sampling.best_of:
        choices = sorted(choices, key=lambda choice: -choice.mean_logprob)  # equals stay as drawn
    return tuple(choices[: sampling.n])


def _search(
    bundle: Bundle,
    prompts: Sequence[list[int]],
    order: Sequence[int],
    sampling: SamplingConfig,
    pictures: Sequence[Tensor] | None,
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
            pixel_values=None if pictures is None else pictures[row],
        )
        best = hypotheses[: sampling.n]
        yield row, tuple(_read(bundle, prompts[row], sampling, hypothesis) for hypothesis in best)


def _read(bundle: Bundle, prompt: Sequence[int], sampling: SamplingConfig, hypothesis: Hypothesis) -> Choice:
    answer = Answer(bundle, prompt, sampling)
    for token in hypothesis.tokens[:-1]:
        answer.add(token, None)
    answer.add(hypothesis.tokens[-1], hypothesis.finish)
    return replace(answer.choice(), logprob=hypothesis.logprob)


class Requests:
    """Makes the requests of one call, after what they have in common; raises UsageError for what cannot be asked."""

    def __init__(self, bundle: Bundle, sampling: SamplingConfig) -> None:
        _check_bias(sampling, bundle.tokenizer.vocab_size)
        if sampling.prompt_logprobs:
            check_echo(bundle.model)
        self._bundle = bundle
        self._sampling = sampling
        self._rules = sampling.rules()
        self._constraints = constraints(bundle)
        self._compiled = compile_guide(sampling, bundle.tokenizer, bundle.end_ids)
        negative = sampling.negative_prompt
        self._negative = None if negative is None else encode_prompt(bundle, negative)
        if sampling.guidance != 1 and negative is None and isinstance(bundle.model, EncoderDecoder):
            raise UsageError("guidance: an encoder–decoder is led away from another source; set negative_prompt")

    def make(self, prompt: list[int], choice: int) -> Request:
        bundle, sampling = self._bundle, self._sampling
        limit, contrast = sampling.max_new_tokens, None
        if sampling.guidance != 1:
            negative = prompt[-1:] if self._negative is None else self._negative
            contrast = Contrast(bundle.model, negative)
            limit = min(limit, room_for(bundle.model, negative) or limit)
        return Request(
            prompt=prompt,
            max_new_tokens=limit,
            rules=self._rules,
            constraints=self._constraints,
            stop_ids=_stop_ids(bundle, sampling),
            vocab_size=bundle.tokenizer.vocab_size,
            seed=sampling.seed,
            choice=choice,
            top_logprobs=sampling.top_logprobs,
            prompt_logprobs=sampling.prompt_logprobs,
            guide=None if self._compiled is None else self._compiled.guide(begins_text(bundle, prompt)),
            contrast=contrast,
        )


def begins_text(bundle: Bundle, prompt: Sequence[int]) -> bool:
    """Whether the answer is the beginning of its text."""
    return isinstance(bundle.model, EncoderDecoder) or set(prompt) <= set(bundle.tokenizer.special_tokens.values())


def _check_bias(sampling: SamplingConfig, size: int) -> None:
    strange = [token for token, _ in sampling.logit_bias if token >= size]
    if strange:
        raise UsageError(
            f"logit_bias: the tokenizer has {size} tokens, and none with id {strange[0]}; "
            f"ids of a text come from bundle.tokenizer.encode(TEXT)"
        )


def constraints(bundle: Bundle) -> Constraints:
    """What generation_config.json forbids and forces; raises WeightsError."""
    is_seq2seq = isinstance(bundle.model, EncoderDecoder)
    said = {name: value for name, value in bundle.generation.items() if is_seq2seq or name != "forced_bos_token_id"}
    return constraints_of(said, bundle.end_ids, where=f"{bundle.path / GENERATION_CONFIG}")


def _stop_ids(bundle: Bundle, sampling: SamplingConfig) -> frozenset[int]:
    return frozenset() if sampling.ignore_end else bundle.end_ids
