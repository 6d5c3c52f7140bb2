"""Keep only what enters a layer, and compute its inside again when the gradients are due (Chen et al. 2016).

Memory for a step then grows by one hidden state a layer, for about a third more computing (arXiv:1604.06174).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from wenlu.errors import UsageError


@contextmanager
def layers_recomputed(model: nn.Module, *, on: bool = True, but: int = 0) -> Iterator[None]:
    """Within, each layer of `model` forgets its inside during the forward pass; the gradients are the same.

    The first `but` layers remember it.

    Raises:
        UsageError: the model has no list of `layers`.
    """
    layers = layers_of(model)[but:] if on else []
    for layer in layers:
        vars(layer)["forward"] = partial(checkpoint, layer.forward, use_reentrant=False)
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["forward"]


def layers_of(model: nn.Module) -> list[nn.Module]:
    """The members of every list called `layers`; an encoder–decoder has two."""
    found: list[nn.Module] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and name.rpartition(".")[2] == "layers":
            found.extend(module)
    if not found:
        raise UsageError(
            "train.activation_checkpointing: the model has no list of layers; choose a Transformer family, or remove it"
        )
    return found
