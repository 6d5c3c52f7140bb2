"""How many floating-point operations a token needs: what the model's mathematics asks for, not what is carried out."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from wenlu.models import LanguageModel
from wenlu.models.layers.attention import Attention
from wenlu.models.layers.decoder import Decoder
from wenlu.models.layers.seeing import SeeingDecoder

FORWARD_AND_BACKWARD = 3
"""The backward pass has two products for each of the forward pass."""


def flops_per_token(model: LanguageModel, context: int) -> float:
    """Operations to train a causal model on one token of a row of `context`.

    6 N, where N counts the weights of the matrix products (the head, but no table that is only looked up), and the
    attention of each position to those that it sees, itself included: 6 · layers · heads · head size · (context + 1)
    without windows. Chowdhery et al. 2022 (arXiv:2204.02311, appendix B) count 12 L H Q T there, as if each position
    saw the whole row. What activation checkpointing computes again does not count, and neither does what attention
    spares where a row holds several documents, nor what reads pictures.
    """
    modules = _read_by_text(model)
    multiplied = sum(_weights_of(module) for module in modules)
    return 2 * FORWARD_AND_BACKWARD * multiplied + FORWARD_AND_BACKWARD * _attention(model, modules, context)


def _read_by_text(model: LanguageModel) -> list[nn.Module]:
    others = model.picture_parts if isinstance(model, SeeingDecoder) else ()
    return [module for name, module in model.named_modules() if name.partition(".")[0] not in others]


def _weights_of(module: nn.Module) -> int:
    """Numbers by which this very module multiplies, biases left out."""
    if isinstance(module, nn.Linear | nn.RNNBase):
        return sum(weight.numel() for weight in module.parameters(recurse=False) if weight.ndim == 2)
    return 0


def _attention(model: LanguageModel, modules: Sequence[nn.Module], context: int) -> float:
    """Operations of the scores and of the mix of values, forward, a token."""
    if not isinstance(model, Decoder):
        return 0.0
    layers = [module for module in modules if isinstance(module, Attention)]
    widths = [layer.q_proj.out_features for layer in layers]
    return sum(4 * width * _seen(view.window, context) for width, view in zip(widths, model.views, strict=True))


def _seen(window: int | None, context: int) -> float:
    """How many positions the average position sees."""
    reach = context if window is None else min(window, context)
    return reach * (2 * context - reach + 1) / (2 * context)
