"""How far a student's probabilities are from a teacher's."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from wenlu.kernels.cross_entropy import CHUNK

Direction = Literal["forward", "reverse"]


def divergences(teacher: Tensor, student: Tensor, *, temperature: float, direction: Direction) -> Tensor:
    """(N,) T² · KL of the softmax of both logits (N, L) at temperature T, in nats and at least in float32.

    "forward" is Σ p log(p/q) with the teacher's p and the student's q, "reverse" Σ q log(q/p).
    """
    wide = torch.promote_types(student.dtype, torch.float32)
    p, q = (F.log_softmax(each.to(wide) / temperature, dim=-1) for each in (teacher, student))
    first, second = (p, q) if direction == "forward" else (q, p)
    return temperature**2 * (first.exp() * (first - second)).sum(dim=-1)


def label_divergences(teacher: Tensor, student: Tensor, *, temperature: float, direction: Direction) -> Tensor:
    """(N,) the mean over L labels, of which each holds or not by itself."""

    def two(logits: Tensor) -> Tensor:
        return torch.stack([logits, torch.zeros_like(logits)], dim=-1)

    return divergences(two(teacher), two(student), temperature=temperature, direction=direction).mean(dim=-1)


def head_divergence(
    teacher: tuple[nn.Module, Tensor],
    student: tuple[nn.Module, Tensor],
    *,
    vocab_size: int,
    temperature: float,
    direction: Direction,
    chunk: int = CHUNK,
) -> Tensor:
    """The sum over tokens of `divergences` of two heads over hidden states (N, D) of the same tokens.

    Works through so many tokens at a time that their logits are at most `chunk` numbers of each; for the gradients they
    are computed again. What a head says beyond `vocab_size` tokens is left out.
    """
    rows = max(1, chunk // vocab_size)

    def part(states: Tensor, told: Tensor) -> Tensor:
        with torch.no_grad():
            said = teacher[0](told)[..., :vocab_size]
        logits = student[0](states)[..., :vocab_size]
        return divergences(said, logits, temperature=temperature, direction=direction).sum()

    if len(student[1]) <= rows:
        return part(student[1], teacher[1])
    pieces = zip(torch.split(student[1], rows), torch.split(teacher[1], rows), strict=True)
    return torch.stack([checkpoint(part, *piece, use_reentrant=False) for piece in pieces]).sum()
