"""Beam search: the likeliest answers, found a token at a time for a few candidates side by side.

A finished answer scores (sum of its log-probabilities) / tokens ** length_penalty, its stop token counted: the
convention of Hugging Face, not that of Wu et al. 2016 (arXiv:1609.08144), ((5 + tokens) / 6) ** length_penalty.
The search ends only when no running beam can overtake the finished ones (there: `early_stopping="never"`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wenlu.errors import UsageError
from wenlu.generation.choosing import Finish
from wenlu.generation.constraints import NONE, Constraints
from wenlu.generation.forward import before_answer, decode, inference, prefill, room_for, to_logits
from wenlu.generation.sampling import NEVER, penalise
from wenlu.generation.settings import Sampling
from wenlu.models import LanguageModel


@dataclass(frozen=True)
class Hypothesis:
    """An answer that the search has finished.

    Attributes:
        logprob: sum in nats over `tokens`, after penalties.
        score: what hypotheses are ranked by.
    """

    tokens: tuple[int, ...]
    logprob: float
    score: float
    finish: Finish


@dataclass(frozen=True)
class _Beam:
    tokens: tuple[int, ...] = ()
    logprob: float = 0.0


def beam_search(
    model: LanguageModel,
    prompt: Sequence[int],
    *,
    num_beams: int,
    max_new_tokens: int,
    stop_ids: frozenset[int] = frozenset(),
    length_penalty: float = 1.0,
    rules: Sampling | None = None,
    constraints: Constraints = NONE,
    vocab_size: int | None = None,
    pixel_values: Tensor | None = None,
) -> list[Hypothesis]:
    """At most `num_beams` answers to `prompt`, best score first.

    Args:
        rules: only its penalties are read; they act on log-probabilities, as in `transformers`.
        constraints: what the checkpoint forbids and forces; a forced token costs nothing.
        vocab_size: tokens from this id on are never chosen.
        pixel_values: (M, C, H, W) the pictures of the prompt.

    Raises:
        UsageError: the prompt does not fit the model's context, or no token is allowed.
    """
    room = room_for(model, prompt)
    limit = max_new_tokens if room is None else min(max_new_tokens, room)
    before = before_answer(model, prompt)
    finished: list[Hypothesis] = []
    with inference(model):
        state = model.init_state(1)
        hidden = prefill(model, [prompt], state, pixel_values)
        beams = [_Beam()]
        for length in range(1, limit + 1):
            logprobs = _logprobs(to_logits(model, hidden), rules or Sampling(), before, beams)[:, :vocab_size]
            answers = [beam.tokens for beam in beams]
            logprobs = constraints.apply(logprobs, [before] * len(beams), answers, [limit] * len(beams))
            candidates = _best(beams, logprobs, count=num_beams * (1 + max(1, len(stop_ids))))
            finished += _ended(candidates[:num_beams], stop_ids, last=length == limit, length_penalty=length_penalty)
            finished = sorted(finished, key=lambda hypothesis: -hypothesis.score)[:num_beams]
            going = [(parent, beam) for parent, beam in candidates if beam.tokens[-1] not in stop_ids][:num_beams]
            beams = [beam for _, beam in going]
            if length == limit or not _can_improve(beams, finished, num_beams, length, limit, length_penalty):
                break
            state = state.select(torch.tensor([parent for parent, _ in going], device=state.lengths.device))
            hidden = decode(model, [beam.tokens[-1] for beam in beams], state)
    if not finished:
        raise UsageError(
            "what generation_config.json forbids leaves no token to choose; set fewer beams, or remove its "
            "no_repeat_ngram_size, bad_words_ids or suppress_tokens"
        )
    return finished


def _logprobs(logits: Tensor, rules: Sampling, before: Sequence[int], beams: list[_Beam]) -> Tensor:
    return penalise(logits.log_softmax(dim=-1), rules, [before] * len(beams), [beam.tokens for beam in beams])


def _best(beams: list[_Beam], logprobs: Tensor, count: int) -> list[tuple[int, _Beam]]:
    """The `count` likeliest one-token continuations, best first, each with the row that it continues."""
    sums = logprobs + torch.tensor([[beam.logprob] for beam in beams], dtype=logprobs.dtype, device=logprobs.device)
    best = sums.flatten().topk(min(count, sums.numel()))
    rows = []
    for logprob, index in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        if logprob == NEVER:
            break
        parent, token = divmod(index, logprobs.shape[-1])
        rows.append((parent, _Beam((*beams[parent].tokens, token), logprob)))
    return rows


def _ended(
    candidates: list[tuple[int, _Beam]], stop_ids: frozenset[int], *, last: bool, length_penalty: float
) -> list[Hypothesis]:
    ended = []
    for _, beam in candidates:
        stopped = beam.tokens[-1] in stop_ids
        if stopped or last:
            score = beam.logprob / len(beam.tokens) ** length_penalty
            ended.append(Hypothesis(beam.tokens, beam.logprob, score, "stop" if stopped else "length"))
    return ended


def _can_improve(
    beams: list[_Beam], finished: list[Hypothesis], num_beams: int, length: int, limit: int, length_penalty: float
) -> bool:
    """Whether a running beam could still enter the finished ones: its sum only falls, its length may still grow."""
    if len(finished) < num_beams:
        return bool(beams)
    best_length = limit if length_penalty > 0 else length
    return bool(beams) and beams[0].logprob / best_length**length_penalty > finished[-1].score
