"""The tensor types of GGUF: floats, and blocks of numbers that share a scale."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Kind:
    """A type: how many values a block holds, in how many bytes; `dtype` where values are stored as they are."""

    name: str
    number: int
    block: int
    block_bytes: int
    dtype: torch.dtype | None = None


_ROWS = (
    Kind("F32", 0, 1, 4, torch.float32),
    Kind("F16", 1, 1, 2, torch.float16),
    Kind("BF16", 30, 1, 2, torch.bfloat16),
    Kind("F64", 28, 1, 8, torch.float64),
    Kind("Q4_0", 2, 32, 18),
    Kind("Q4_1", 3, 32, 20),
    Kind("Q5_0", 6, 32, 22),
    Kind("Q5_1", 7, 32, 24),
    Kind("Q8_0", 8, 32, 34),
    Kind("Q2_K", 10, 256, 84),
    Kind("Q3_K", 11, 256, 110),
    Kind("Q4_K", 12, 256, 144),
    Kind("Q5_K", 13, 256, 176),
    Kind("Q6_K", 14, 256, 210),
    Kind("IQ2_XXS", 16, 256, 66),
    Kind("IQ2_XS", 17, 256, 74),
    Kind("IQ3_XXS", 18, 256, 98),
    Kind("IQ1_S", 19, 256, 50),
    Kind("IQ4_NL", 20, 32, 18),
    Kind("IQ3_S", 21, 256, 110),
    Kind("IQ2_S", 22, 256, 82),
    Kind("IQ4_XS", 23, 256, 136),
    Kind("IQ1_M", 29, 256, 56),
    Kind("TQ1_0", 34, 256, 54),
    Kind("TQ2_0", 35, 256, 66),
    Kind("MXFP4", 39, 32, 17),
)
KINDS: dict[int, Kind] = {kind.number: kind for kind in _ROWS}
"""By the number that the file gives."""
