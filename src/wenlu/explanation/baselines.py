"""What stands where a piece was taken out: a vector that is as far from any meaning as the model knows."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from wenlu.errors import UsageError
from wenlu.models import LanguageModel
from wenlu.models.layers.norm import RMSNorm, ZeroCentredRMSNorm
from wenlu.tokenizers import Tokenizer

Baseline = Literal["auto", "mask", "pad", "mean", "zero"]
MASKS = ("[MASK]", "<mask>")
"""What the token that hides another is called, of BERT's kin and of RoBERTa's."""


def chosen(baseline: Baseline, tokenizer: Tokenizer) -> Baseline:
    """ "auto" is the mask where the tokenizer has one, else the mean embedding."""
    if baseline != "auto":
        return baseline
    return "mean" if mask_of(tokenizer) is None else "mask"


def mask_of(tokenizer: Tokenizer) -> int | None:
    return next((tokenizer.special_tokens[name] for name in MASKS if name in tokenizer.special_tokens), None)


def vector(baseline: Baseline, model: LanguageModel, tokenizer: Tokenizer) -> Tensor:
    """(D,) what the embedding of a token is replaced by.

    Raises UsageError where the tokenizer lacks the token, or a vector of zeros is no input that the model can read.
    """
    embedding = embedding_of(model)
    device = next(model.parameters()).device
    match chosen(baseline, tokenizer):
        case "mask" | "pad" as name:
            number = mask_of(tokenizer) if name == "mask" else tokenizer.pad_id
            if number is None:
                raise UsageError(f'baseline="{name}": the tokenizer has no such token; use baseline="mean"')
            found: Tensor = embedding(torch.tensor([[number]], device=device))[0, 0]
        case "mean":
            found = embedding(torch.arange(tokenizer.vocab_size, device=device)[None])[0].mean(dim=0)
        case _:
            if any(isinstance(module, RMSNorm | ZeroCentredRMSNorm) for module in model.modules()):
                raise UsageError(
                    'baseline="zero": this model divides by the length of its vectors (RMSNorm), and that of a vector '
                    "of zeros is none: gradients on the way there grow without bound, and attributions with them; use "
                    'baseline="mean"'
                )
            found = torch.zeros_like(embedding(torch.tensor([[0]], device=device))[0, 0])
    return found.detach()


def embedding_of(model: LanguageModel) -> nn.Module:
    """The module from token ids to vectors; raises UsageError where there is none of that name."""
    if not has_embedding(model):
        raise UsageError(f"{type(model).__name__} has no embedding of tokens to attribute to; explain another model")
    return model.get_submodule("embed_tokens")


def has_embedding(model: LanguageModel) -> bool:
    return isinstance(getattr(model, "embed_tokens", None), nn.Module)
