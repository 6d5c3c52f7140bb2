"""The nearest matrix with orthogonal rows or columns, roughly, as Muon needs it."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial a x + b x³ + c x⁵ that lifts small singular values fastest (Jordan et al. 2024,
kellerjordan.github.io/posts/muon); the values end between 0.7 and 1.2 rather than at 1."""
LEAST = 1e-7


def orthogonalised(update: Tensor, iterations: int) -> Tensor:
    """U Vᵀ of an update U S Vᵀ (M, N), by Newton–Schulz iterations over its singular values.

    float32 is rounded to bfloat16 where a processor multiplies that in tiles (AMX) or on a GPU, as in torch's Muon;
    elsewhere bfloat16 takes twice as long as float32, which is then kept.

    Returns:
        (M, N), of the type it was computed in.
    """
    a, b, c = COEFFICIENTS
    x = update.bfloat16() if update.dtype == torch.float32 and _is_narrow_faster(update.device.type) else update
    x = x.T if update.size(0) > update.size(1) else x
    x = x / x.norm().clamp(min=LEAST)  # no singular value above 1
    for _ in range(iterations):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if update.size(0) > update.size(1) else x


@cache
def _is_narrow_faster(device: str) -> bool:
    if device != "cpu":
        return device == "cuda"
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))
