"""What tells one set of weights from another, however they are stored."""

from __future__ import annotations

import hashlib
from itertools import chain

import torch
from torch import nn


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over names, types, shapes and values of all parameters and buffers; the same for the same weights in
    one file, in several or in another format."""
    digest = hashlib.sha256()
    tensors = dict(chain(model.named_parameters(), model.named_buffers()))
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return f"sha256:{digest.hexdigest()}"
