"""The native call as an engine's runner."""

from __future__ import annotations

import math
import os

import torch
from torch import Tensor

from wenlu.errors import UsageError, WenluError
from wenlu.generation.caches import Packing
from wenlu.generation.seen import SeenRows
from wenlu.models import LanguageModel
from wenlu.models.layers.decoder import Decoder
from wenlu.models.layers.paged_cache import PagePool
from wenlu.models.native import Weights, packed_decoder, why_not_native

MOST_ROWS = 256
"""What a call reads at once, so that what it keeps of its rows stays in the processor's caches."""


SHARE = 4
"""Weights are packed of themselves where they fill at most one part of memory in so many."""


def packing_of(model: LanguageModel, packing: Packing) -> Weights | None:
    """As what the native call reads the weights; None where torch does.

    Raises UsageError for a choice that this model or machine does not have.
    """
    if packing == "torch":
        return None
    reason = why_not_native(model)
    if packing == "auto":
        size = sum(weight.nbytes for weight in model.parameters())
        if reason or SHARE * size > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
            return None
        return "float32" if next(model.parameters()).dtype == torch.float32 else "bfloat16"
    if reason:
        raise UsageError(f'weights="{packing}" needs the native call, and {reason}; leave weights out')
    return packing


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

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor,
        sequences: Tensor,
        tables: Tensor,
        wanted: Tensor,
        seen: SeenRows | None = None,
    ) -> Tensor:
        """As `Runner.forward`; raises WenluError for NaN."""
        if seen is not None:
            tokens = tokens.index_fill(0, seen.rows, 0)  # a placeholder may be none of the vocabulary
        embedded = self.model.embed(tokens[None], positions[None])[0].float().contiguous()
        if seen is not None:
            embedded[seen.rows] = seen.vectors.float()
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
        if math.isnan(float(logits.sum())):
            raise WenluError(
                "the model answers NaN: its weights are damaged, or its numbers are too large for the pages"
            )
        return logits
