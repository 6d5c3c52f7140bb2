"""The model's side of a step: read prompts, read one more token of each row, answer logits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from wenlu.errors import UsageError, WenluError
from wenlu.models import DecodeState, LanguageModel


@contextmanager
def inference(model: LanguageModel) -> Iterator[None]:
    """No gradients and no dropout inside; a model in training goes back to it."""
    training = model.training
    if training:
        model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        if training:
            model.train()


def context_of(model: LanguageModel) -> int | None:
    """How many tokens the model can see: `max_position_embeddings`; None for recurrent families, which have no end."""
    context: int | None = getattr(model.config, "max_position_embeddings", None)
    return context


def room_for(model: LanguageModel, prompt: Sequence[int]) -> int | None:
    """How many tokens may follow `prompt`, None for no bound; raises UsageError where not even one may."""
    if not prompt:
        raise UsageError("the prompt has no tokens; give at least one character, or a tokenizer with a BOS token")
    context = context_of(model)
    if context is None:
        return None
    if len(prompt) >= context:
        raise UsageError(
            f"the prompt has {len(prompt)} tokens, and the model's context (max_position_embeddings) of {context} "
            f"must also hold an answer; shorten the prompt"
        )
    return context - len(prompt)


def prefill(model: LanguageModel, prompts: Sequence[Sequence[int]], state: DecodeState) -> Tensor:
    """Read `prompts` into the empty `state`; (B, D) hidden states at the last token of each."""
    device = state.lengths.device
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    ids = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(prompt)
    mask = (torch.arange(ids.shape[1]) < lengths.unsqueeze(1)).long()
    padded = bool(lengths.min() < ids.shape[1])
    hidden = model.hidden(ids.to(device), attention_mask=mask.to(device) if padded else None, state=state)
    return hidden[torch.arange(len(prompts), device=device), lengths.to(device) - 1]


def decode(model: LanguageModel, tokens: Sequence[int], state: DecodeState) -> Tensor:
    """Read one token a row; (B, D) hidden states."""
    return model.hidden(torch.tensor(tokens, device=state.lengths.device).unsqueeze(1), state=state)[:, 0]


def to_logits(model: LanguageModel, hidden: Tensor) -> Tensor:
    """(B, V) logits in float32, or in float64 where the model is; raises WenluError for NaN."""
    logits: Tensor = model.lm_head(hidden)
    if bool(logits.isnan().any()):
        raise WenluError("the model answers NaN: its weights are damaged, or its dtype overflows; try float32")
    return logits if logits.dtype == torch.float64 else logits.float()
