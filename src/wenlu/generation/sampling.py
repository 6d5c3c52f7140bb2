"""From logits to a token: pure functions of logits, seed and position.

Each processor takes and returns logits (B, V), one row a request, and touches no row through another one.
`-inf` marks a token that cannot be drawn; at least the likeliest always can.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from wenlu.generation.settings import Sampling

NEVER = -torch.inf


def logit_bias(logits: Tensor, bias: Sequence[tuple[int, float]]) -> Tensor:
    """Add to the logit of each token of `bias` what stands beside it."""
    tokens, amounts = zip(*bias, strict=True)
    added = torch.zeros(logits.shape[-1], dtype=logits.dtype, device=logits.device)
    added[list(tokens)] = torch.tensor(amounts, dtype=logits.dtype, device=logits.device)
    return logits + added


def repetition_penalty(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Divide positive and multiply negative logits of the tokens `seen` (B, V) by `penalty`."""
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def presence_penalty(logits: Tensor, counts: Tensor, penalty: float) -> Tensor:
    """Subtract `penalty` from tokens whose `counts` (B, V) are not 0."""
    return logits - penalty * (counts > 0)


def frequency_penalty(logits: Tensor, counts: Tensor, penalty: float) -> Tensor:
    """Subtract `penalty` for each of `counts` (B, V)."""
    return logits - penalty * counts


def temperature(logits: Tensor, degree: float) -> Tensor:
    """Flatten (`degree` > 1) or sharpen (< 1) the distribution."""
    return logits / degree


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the `k` likeliest tokens, and whatever ties with the last of them."""
    least = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return logits.masked_fill(logits < least, NEVER)


def top_p(logits: Tensor, mass: float) -> Tensor:
    """Keep the smallest set of likeliest tokens whose probabilities reach `mass`."""
    ascending, order = logits.sort(dim=-1)
    tail = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - mass
    tail[:, -1] = False
    return logits.masked_fill(torch.zeros_like(tail).scatter(-1, order, tail), NEVER)


def min_p(logits: Tensor, share: float) -> Tensor:
    """Keep tokens with at least `share` of the likeliest token's probability."""
    probabilities = logits.softmax(dim=-1)
    return logits.masked_fill(probabilities < share * probabilities.amax(dim=-1, keepdim=True), NEVER)


def typical(logits: Tensor, mass: float) -> Tensor:
    """Keep the tokens whose surprise is nearest to the expected one, until they reach `mass`; ties stay."""
    surprise = -logits.log_softmax(dim=-1)
    expected = (surprise.neg().exp() * surprise).nansum(dim=-1, keepdim=True)
    distance = (surprise - expected).abs()
    ascending, order = distance.sort(dim=-1)
    reached = logits.gather(-1, order).softmax(dim=-1).cumsum(dim=-1)
    last = (reached < mass).sum(dim=-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
    return logits.masked_fill(distance > ascending.gather(-1, last), NEVER)


def penalise(
    logits: Tensor, rules: Sampling, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> Tensor:
    """Apply the bias and the penalties of `rules`; prompts and answers hold the token ids of each row so far."""
    if rules.logit_bias:
        logits = logit_bias(logits, rules.logit_bias)
    if rules.repetition_penalty != 1:
        texts = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
        logits = repetition_penalty(logits, _counts(logits, texts) > 0, rules.repetition_penalty)
    if rules.presence_penalty or rules.frequency_penalty:
        counts = _counts(logits, answers)
        logits = presence_penalty(logits, counts, rules.presence_penalty)
        logits = frequency_penalty(logits, counts, rules.frequency_penalty)
    return logits


def warp(logits: Tensor, rules: Sampling) -> Tensor:
    """Apply temperature (> 0) and the cuts of `rules`."""
    logits = temperature(logits, rules.temperature)
    if rules.top_k is not None:
        logits = top_k(logits, rules.top_k)
    if rules.top_p < 1:
        logits = top_p(logits, rules.top_p)
    if rules.min_p > 0:
        logits = min_p(logits, rules.min_p)
    if rules.typical_p < 1:
        logits = typical(logits, rules.typical_p)
    return logits


def uniform(seed: int, choice: int, position: int, *, stream: int = 0) -> float:
    """The number in [0, 1) that decides the token at `position` of an answer: no state, so no order of calls.

    Philox4x64 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") with key (seed, choice) and
    counter (position, stream); speculation has streams of its own.
    """
    counter = np.array([position, stream, 0, 0], dtype=np.uint64)
    bits = np.random.Philox(key=np.array([seed, choice], dtype=np.uint64), counter=counter)
    return float(np.random.Generator(bits).random())


def draw(logits: Tensor, uniforms: Sequence[float]) -> Tensor:
    """(B,) tokens at which the cumulative probability of each row passes its number in [0, 1)."""
    return draw_from(logits.double().softmax(dim=-1), uniforms)


def draw_from(probabilities: Tensor, uniforms: Sequence[float]) -> Tensor:
    """As `draw`, from float64 probabilities (B, V), whose sum may be another than 1."""
    cumulative = probabilities.cumsum(dim=-1)
    numbers = torch.tensor(uniforms, dtype=torch.float64, device=probabilities.device).unsqueeze(1)
    # A number is at most 1 - 2**-53, so its product with the total rounds to less than the total.
    return torch.searchsorted(cumulative, numbers * cumulative[:, -1:], right=True).squeeze(1)


def _counts(logits: Tensor, rows: Sequence[Sequence[int]]) -> Tensor:
    """(B, V) how often each token stands in each row."""
    size = logits.shape[-1]
    counts = [torch.bincount(torch.tensor(row, dtype=torch.int64), minlength=size) for row in rows]
    return torch.stack(counts).to(logits.device)
