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
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    row = info.shape[-1] // info.kind.block * info.kind.block_bytes
    blocks = np.frombuffer(header.memory, np.uint8, info.nbytes, info.start).reshape(-1, row)
    with np.errstate(over="ignore", invalid="ignore"):  # scales of a damaged file
        values = dequantize(blocks, GGMLQuantizationType(info.kind.number))
    return torch.from_numpy(values.astype(np.float32, copy=False)).view(info.shape)


def _require_gguf(header: Header) -> None:
    try:
        import gguf  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("gguf", extra="gguf", purpose=f"read the quantised tensors of {header.path}") from error
