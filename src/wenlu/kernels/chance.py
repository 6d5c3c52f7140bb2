"""What the native kernels that drop numbers are told of chance."""

from __future__ import annotations

import torch

WORDS = 2**32
"""Chances of a number: as many as the kernels draw from."""


def drawn(dropout: float) -> tuple[int, int]:
    """A seed of torch's generator, and of how many of `WORDS` chances a number is dropped; no draw where of none."""
    if not dropout:
        return 0, 0
    return int(torch.randint(2**62, ()).item()), min(WORDS - 1, round(dropout * WORDS))
