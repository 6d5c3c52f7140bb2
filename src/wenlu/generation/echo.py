"""How likely the model finds a prompt: what `echo` with `logprobs` answers in the protocol of completions."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from wenlu.errors import UsageError
from wenlu.generation.choosing import Scored, scored
from wenlu.generation.forward import to_logits
from wenlu.models import LanguageModel
from wenlu.models.layers.encoder_decoder import EncoderDecoder

ROWS = 256
"""Positions whose logits are held at a time."""


def prompt_logprobs(
    model: LanguageModel, prompt: Sequence[int], *, top: int = 0, vocab_size: int | None = None
) -> tuple[Scored, ...]:
    """The tokens of `prompt` behind the first, which nothing precedes; a pass of its own, within `inference`.

    Args:
        top: how many of the likeliest in each one's place come with it. vocab_size: only tokens before this id do.
    """
    check_echo(model)
    ids = torch.tensor([prompt], device=model.init_state(1).lengths.device)
    hidden = model.hidden(ids)[0, :-1]
    found: list[Scored] = []
    for start in range(0, len(hidden), ROWS):
        logits = to_logits(model, hidden[start : start + ROWS])
        tokens = ids[0, start + 1 : start + 1 + len(logits)]
        found += scored(logits, tokens, [top] * len(logits), [vocab_size] * len(logits))
    return tuple(found)


def check_echo(model: LanguageModel) -> None:
    """Raise UsageError for a model that reads its prompt without writing it."""
    if isinstance(model, EncoderDecoder):
        raise UsageError(
            "prompt_logprobs: an encoder–decoder reads its source and gives it no probability; set it to false"
        )
