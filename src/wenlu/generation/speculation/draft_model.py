"""Guesses of a smaller model of the same vocabulary, or of the first layers of the model itself."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from wenlu.errors import UsageError
from wenlu.generation import sampling
from wenlu.generation.choosing import probabilities
from wenlu.generation.forward import context_of, inference, to_logits
from wenlu.generation.speculation.drafter import Draft, Draftee
from wenlu.models import DecodeState, LanguageModel
from wenlu.models.layers.decoder import Decoder
from wenlu.models.layers.kv_cache import KVCache
from wenlu.models.layers.rereading import RereadingCache

DRAFTING = 2
"""The stream of numbers that guesses are drawn by."""


class DraftModel:
    """Draws guesses by the rules of the request, guidance apart, from a model that remembers what it has read.

    Raises:
        UsageError: what the model remembers cannot be taken back.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self._state = rewindable(model.init_state(1), "the draft model")
        self._read: list[int] = []

    def propose(self, row: Draftee, count: int) -> Draft:
        request = row.request
        context = context_of(self.model)
        if context is not None:
            count = min(count, context - len(row.before) - len(row.answer))
        row = replace(row, request=replace(request, rules=request.rules.model_copy(update={"guidance": 1.0})))
        drawn: list[int] = []
        shares = []
        with inference(self.model):
            for _ in range(count):
                here = row.behind(drawn)
                share = probabilities(self._logits([*row.before, *here.answer]), [here])
                number = sampling.uniform(request.seed, request.choice, here.position, stream=DRAFTING)
                drawn.append(int(sampling.draw_from(share, [number])))
                shares.append(share)
        if request.rules.temperature == 0 or not shares:
            return Draft(tuple(drawn))
        return Draft(tuple(drawn), torch.cat(shares))

    def _logits(self, text: Sequence[int]) -> torch.Tensor:
        """(1, V) logits of the token behind `text`; what was read of it before is not read again."""
        same = 0
        for old, new in zip(self._read, text[:-1], strict=False):
            if old != new:
                break
            same += 1
        if max(text) >= self.model.config.vocab_size:
            raise UsageError(
                f"speculation: the draft model has {self.model.config.vocab_size} tokens, and the text one with id "
                f"{max(text)}; both models need the same tokenizer"
            )
        self._state.truncate([same])
        ids = torch.tensor([text[same:]], device=self._state.lengths.device)
        hidden = self.model.hidden(ids, state=self._state)[:, -1]
        self._read = list(text)
        return to_logits(self.model, hidden)


def first_layers(model: LanguageModel, count: int) -> LanguageModel:
    """The model without the layers behind its first `count`: it shares their weights, the norm and the head.

    An early exit as of Elhoushi et al. 2024 (LayerSkip, arXiv:2404.16710), in whose training the layers learn to be
    left early; of other models few guesses are kept.

    Raises:
        UsageError: the model is no decoder with so many layers.
    """
    if not isinstance(model, Decoder) or not 0 < count < len(model.layers):
        layers = len(model.layers) if isinstance(model, Decoder) else 0
        raise UsageError(
            f"early exit behind {count} layers: {type(model).__name__} has {layers} that it could leave; "
            f"take fewer, or another way to guess"
        )
    early = copy.copy(model)
    early._modules = {**model._modules, "layers": nn.ModuleList(model.layers[:count])}
    early.config = model.config.model_copy(update={"num_hidden_layers": count})
    early.views = model.views[:count]
    return early


def rewindable(state: DecodeState, whose: str) -> KVCache:
    """The state, where its last tokens can be taken back; raises UsageError."""
    if not isinstance(state, KVCache) or isinstance(state, RereadingCache):
        raise UsageError(
            f"speculation: {whose} keeps a {type(state).__name__}, from which tokens cannot be taken back; "
            f"speculate with a decoder that keeps keys and values alone"
        )
    return state
