"""The model's side of a step: read prompts, read one more token of each row, answer logits.

To an encoder–decoder the prompt is the source, and the answer its target.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from wenlu.errors import UsageError, WenluError
from wenlu.models import DecodeState, LanguageModel
from wenlu.models.layers.encoder_decoder import EncoderDecoder
from wenlu.models.layers.seeing import SeeingDecoder


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
    """How many tokens the model can see; None where there is no end."""
    return model.config.context


def room_for(model: LanguageModel, prompt: Sequence[int]) -> int | None:
    """How many tokens may follow `prompt`, None for no bound; raises UsageError where not even one may."""
    if not prompt:
        raise UsageError("the prompt has no tokens; give at least one character, or a tokenizer with a BOS token")
    context = context_of(model)
    if context is None:
        return None
    if isinstance(model, EncoderDecoder):
        if len(prompt) > context:
            raise UsageError(
                f"the source has {len(prompt)} tokens, and the model reads at most {context} "
                f"(max_position_embeddings); shorten it"
            )
        return context
    if len(prompt) >= context:
        raise UsageError(
            f"the prompt has {len(prompt)} tokens, and the model's context (max_position_embeddings) of {context} "
            f"must also hold an answer; shorten the prompt"
        )
    return context - len(prompt)


def before_answer(model: LanguageModel, prompt: Sequence[int]) -> Sequence[int]:
    """What stands before the answer in the same text: `prompt`, or an encoder–decoder's start token.

    Raises UsageError for an encoder–decoder whose config names none.
    """
    if not isinstance(model, EncoderDecoder):
        return prompt
    config = model.config
    start = config.bos_token_id if config.decoder_start_token_id is None else config.decoder_start_token_id
    if start is None:
        raise UsageError(
            "the model's config names no token that begins a target; set decoder_start_token_id in config.json"
        )
    return [start]


def alike(lengths: Sequence[int]) -> list[list[int]]:
    """Indices of texts that are read together, longest first: padding takes no more than the half of what is read."""
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if groups and 2 * lengths[index] >= lengths[groups[-1][0]]:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def prefill(
    model: LanguageModel, prompts: Sequence[Sequence[int]], state: DecodeState, pixel_values: Tensor | None = None
) -> Tensor:
    """Read `prompts`, with the pictures of all of them, into the empty `state`; (B, D) hidden states before the first
    answer tokens."""
    device = state.lengths.device
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    ids = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(prompt)
    mask = (torch.arange(ids.shape[1]) < lengths.unsqueeze(1)).long()
    padded = bool(lengths.min() < ids.shape[1])
    attention_mask = mask.to(device) if padded else None
    if isinstance(model, EncoderDecoder):
        starts = torch.tensor([before_answer(model, prompt) for prompt in prompts], device=device)
        return model.hidden(ids.to(device), attention_mask=attention_mask, decoder_input_ids=starts, state=state)[:, 0]
    if pixel_values is not None:
        assert isinstance(model, SeeingDecoder), "only a model that sees is given pictures"
        shown = pixel_values.to(device, model.embed_tokens.weight.dtype)
        hidden = model.hidden(ids.to(device), attention_mask=attention_mask, state=state, pixel_values=shown)
    else:
        hidden = model.hidden(ids.to(device), attention_mask=attention_mask, state=state)
    return hidden[torch.arange(len(prompts), device=device), lengths.to(device) - 1]


def decode(model: LanguageModel, tokens: Sequence[int], state: DecodeState) -> Tensor:
    """Read one token a row; (B, D) hidden states."""
    ids = torch.tensor(tokens, device=state.lengths.device).unsqueeze(1)
    if isinstance(model, EncoderDecoder):
        return model.hidden(None, decoder_input_ids=ids, state=state)[:, 0]
    return model.hidden(ids, state=state)[:, 0]


def to_logits(model: LanguageModel, hidden: Tensor) -> Tensor:
    """(B, V) logits in float32, or in float64 where the model is; raises WenluError for NaN."""
    logits: Tensor = model.lm_head(hidden)
    if bool(logits.isnan().any()):
        raise WenluError("the model answers NaN: its weights are damaged, or its dtype overflows; try float32")
    return logits if logits.dtype == torch.float64 else logits.float()
