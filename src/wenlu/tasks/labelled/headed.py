"""A model that reads, with the head of a task on it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from wenlu.models import Ability, DecodeState, LanguageModel, family_of

Pooling = Literal["mean", "first", "last"]
OWN = "own"
"""Pooling of the class that the family itself has for the task."""


class Headed(LanguageModel):
    """A body, and a head over its hidden states; its call is the body's, which the task gives to the head."""

    def __init__(self, body: LanguageModel, task_head: nn.Module) -> None:
        super().__init__()
        self.config = body.config
        self.body = body
        self.task_head = task_head
        self.lm_head = nn.Identity()

    def hidden(
        self,
        input_ids: Tensor | None,
        *,
        decoder_input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        token_types: Tensor | None = None,
        state: DecodeState | None = None,
    ) -> Tensor:
        return self.body.hidden(
            input_ids,
            decoder_input_ids=decoder_input_ids,
            attention_mask=attention_mask,
            positions=positions,
            segments=segments,
            token_types=token_types,
            state=state,
        )


def reads_both_ways(model: LanguageModel) -> bool:
    return Ability.MASKED in family_of(model).abilities


def has_token_types(model: LanguageModel) -> bool:
    """Whether the model tells the two texts of a pair apart by an embedding."""
    return getattr(model, "embed_types", None) is not None


def pooled(hidden: Tensor, attention_mask: Tensor, pooling: Pooling) -> Tensor:
    """One vector a text, (B, D), of its real tokens' hidden states (B, T, D); padding is on the right."""
    match pooling:
        case "mean":
            mask = attention_mask[..., None].to(hidden.dtype)
            return (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        case "first":
            return hidden[:, 0]
        case "last":
            last = attention_mask.sum(dim=1) - 1
            return hidden[torch.arange(len(hidden), device=hidden.device), last]
