"""The native call as an engine's runner."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from wenlu.errors import WenluError
from wenlu.generation.caches import CacheType
from wenlu.generation.pages import pool_for
from wenlu.models import LanguageModel
from wenlu.models.layers.decoder import Decoder
from wenlu.models.layers.paged_cache import PagePool
from wenlu.models.native import Weights, packed_decoder

MOST_ROWS = 256
"""What a call reads at once, so that what it keeps of its rows stays in the processor's caches."""


def native_runner(
    model: LanguageModel,
    *,
    weights: Weights,
    max_batch: int,
    memory: int | Literal["auto"] = "auto",
    cache: CacheType = "plain",
) -> NativeRunner:
    """With pages of its own; see `pool_for`. With weights of less than 32 bits "plain" keys and values are bfloat16."""
    if cache == "plain" and weights != "float32":
        cache = "bfloat16"
    return NativeRunner(model, pool_for(model, max_batch=max_batch, memory=memory, cache=cache), weights)


class NativeRunner:
    """A Llama-like decoder as one native call; see `Runner`. Every row is the same whatever is read beside it.

    Args:
        model: one of which `why_not_native` says nothing.
        weights: what its plain weights are packed as.
    """

    def __init__(self, model: LanguageModel, pool: PagePool, weights: Weights) -> None:
        assert isinstance(model, Decoder)
        self.model = model
        self.pool = pool
        self.decoder = packed_decoder(model, weights)
        self._pages = (pool.keys, pool.values, pool.key_scales, pool.value_scales)

    def forward(self, tokens: Tensor, positions: Tensor, sequences: Tensor, tables: Tensor, wanted: Tensor) -> Tensor:
        """As `Runner.forward`; raises WenluError for NaN."""
        embedded = self.model.embed(tokens[None], positions[None])[0].float().contiguous()
        found = []
        for begin in range(0, len(tokens), MOST_ROWS):
            end = min(len(tokens), begin + MOST_ROWS)
            inside = wanted[(wanted >= begin) & (wanted < end)] - begin
            found.append(
                self.decoder(
                    embedded[begin:end],
                    self._pages,
                    positions=positions[begin:end],
                    sequences=sequences[begin:end],
                    tables=tables,
                    wanted=inside,
                )
            )
        logits = found[0] if len(found) == 1 else torch.cat(found)
        if bool(logits.isnan().any()):
            raise WenluError(
                "the model answers NaN: its weights are damaged, or its numbers are too large for the pages"
            )
        return logits
