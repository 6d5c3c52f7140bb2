"""Which guesses stay, so that tokens come out as the model alone would draw them.

Leviathan et al. 2023, arXiv:2211.17192; Chen et al. 2023, arXiv:2302.01318.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from wenlu.generation import sampling as numbers
from wenlu.generation.choosing import Running, Scored, choose, probabilities, scored
from wenlu.generation.speculation.drafter import Guess

ACCEPTING = 1
"""The stream of numbers by which drawn guesses stay."""


def settle(logits: Tensor, rows: Sequence[Running], guesses: Sequence[Guess | None]) -> list[Scored]:
    """The next token of each row, from the model's logits (B, V): the guess, where it stays.

    Guesses that were not drawn have no say: the token is the one that the row would have without, by the same numbers.
    A target that is sure (greedy) is met exactly either way.
    """
    found: dict[int, Scored] = {}
    for index, (row, guess) in enumerate(zip(rows, guesses, strict=True)):
        if guess is not None and guess.probabilities is not None:
            found[index] = _verified(logits[index : index + 1], row, guess.token, guess.probabilities)
    if not found:
        return choose(logits, rows)
    others = [index for index in range(len(rows)) if index not in found]
    if others:
        found |= zip(others, choose(logits[others], [rows[index] for index in others]), strict=True)
    return [found[index] for index in range(len(rows))]


def verify(target: Tensor, guess: int, drawn_from: Tensor, accept: float, draw: float) -> int:
    """The guess with probability min(1, p / q), or else a token of what it leaves out: distributed as the target.

    Args:
        target: p, (V,) float64 probabilities of the token in place of the guess, after all rules.
        drawn_from: q, those that the guess was drawn from.
        accept, draw: numbers in [0, 1), independent of each other and of the one that drew the guess.
    """
    if accept * float(drawn_from[guess]) < float(target[guess]):
        return guess
    rest = (target - drawn_from).clamp(min=0)
    # Two distributions that differ in rounding alone leave nothing; then either does.
    rest = rest if bool(rest.sum() > 0) else target
    return int(numbers.draw_from(rest[None], [draw]))


def _verified(logits: Tensor, row: Running, guess: int, drawn_from: Tensor) -> Scored:
    request = row.request
    accept = numbers.uniform(request.seed, request.choice, row.position, stream=ACCEPTING)
    draw = numbers.uniform(request.seed, request.choice, row.position)
    token = verify(probabilities(logits, [row])[0], guess, drawn_from, accept, draw)
    return scored(logits, torch.tensor([token], device=logits.device), [request.top_logprobs], [request.vocab_size])[0]
