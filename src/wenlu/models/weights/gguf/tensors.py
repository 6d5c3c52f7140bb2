"""The tensors of a GGUF file: floats are views of the mapped file, blocks become float32 when they are read."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wenlu.errors import MissingExtra
from wenlu.models.weights.gguf.header import Header, TensorInfo
from wenlu.models.weights.rules import Entries, Stored


def stored_tensors(header: Header) -> Entries:
    """Every tensor by its name in the file; raises MissingExtra where blocks are met without the gguf package."""
    if any(info.kind.dtype is None for info in header.tensors.values()):
        _require_gguf(header)
    return {name: _stored(header, info) for name, info in header.tensors.items()}


def _stored(header: Header, info: TensorInfo) -> Stored:
    dtype = info.kind.dtype
    if dtype is None:
        return Stored(info.shape, torch.float32, lambda: _dequantised(header, info))
    count = info.nbytes // info.kind.block_bytes
    return Stored(
        info.shape,
        dtype,
        lambda: torch.frombuffer(header.memory, dtype=dtype, count=count, offset=info.start).view(info.shape),
    )


def _dequantised(header: Header, info: TensorInfo) -> Tensor:
    count, size = info.nbytes // info.kind.block_bytes, info.kind.block_bytes
    if info.kind.name in _READ_HERE:
        stored = torch.frombuffer(header.memory, dtype=torch.uint8, count=info.nbytes, offset=info.start)
        return _READ_HERE[info.kind.name](stored.view(count, size)).view(info.shape)
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    row = info.shape[-1] // info.kind.block * info.kind.block_bytes
    blocks = np.frombuffer(header.memory, np.uint8, info.nbytes, info.start).reshape(-1, row)
    with np.errstate(over="ignore", invalid="ignore"):  # scales of a damaged file
        values = dequantize(blocks, GGMLQuantizationType(info.kind.number))
    return torch.from_numpy(values.astype(np.float32, copy=False)).view(info.shape)


def _q8_0(blocks: Tensor) -> Tensor:
    """A scale, then 32 numbers of eight bits."""
    return blocks[:, 2:].view(torch.int8).float() * _half(blocks, 0)


def _q4_1(blocks: Tensor) -> Tensor:
    """A scale and a floor, then 16 bytes: the first 16 numbers in the low halves, the others in the high ones."""
    codes = blocks[:, 4:]
    return torch.cat((codes & 15, codes >> 4), dim=1).float().mul_(_half(blocks, 0)).add_(_half(blocks, 2))


def _half(blocks: Tensor, at: int) -> Tensor:
    """(B, 1) float32 of the float16 that stand so far into the blocks."""
    return blocks[:, at : at + 2].contiguous().view(torch.float16).float()


_READ_HERE = {"Q8_0": _q8_0, "Q4_1": _q4_1}
"""The kinds that are read often; bit for bit as the gguf package reads them, in a tenth of the time."""


def _require_gguf(header: Header) -> None:
    try:
        import gguf  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("gguf", extra="gguf", purpose=f"read the quantised tensors of {header.path}") from error
