"""Hide tokens as BERT does: most become [MASK], some another token, some stay.

Devlin et al. 2019, arXiv:1810.04805, section 3.1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from wenlu.config import Config
from wenlu.corpus.packing import PADDING, Ids, PackedRow, Windows
from wenlu.tasks.corruption.vocabulary import Flags, Vocabulary
from wenlu.tasks.corruption.whole_words import Segmentation, word_numbers
from wenlu.tasks.task import IGNORED, Batch, Draw


class MaskingConfig(Config):
    """Settings that every task with masked tokens has.

    Attributes:
        rate: share of the tokens that are hidden.
        mask_share, random_share: of the hidden ones, how many become `mask_token`, and how many another token; the
            rest stay as they are.
        whole_words: hide all tokens of a word, or none.
        segmentation: what a word of Chinese is: by `rjieba`, or each of its `characters`.
    """

    rate: float = Field(default=0.15, gt=0, lt=1)
    mask_share: float = Field(default=0.8, ge=0, le=1)
    random_share: float = Field(default=0.1, ge=0, le=1)
    whole_words: bool = True
    segmentation: Segmentation = "rjieba"
    mask_token: str = "[MASK]"

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.mask_share + self.random_share > 1:
            raise ValueError(
                f"mask_share ({self.mask_share}) and random_share ({self.random_share}) are more than all: "
                "their sum is at most 1"
            )
        return self


class Masking:
    """Hides tokens of rows."""

    def __init__(self, config: MaskingConfig, vocabulary: Vocabulary, task: str) -> None:
        self.config = config
        self.vocabulary = vocabulary
        (self.mask_id,) = vocabulary.ids_of([config.mask_token], task)

    def choose(self, ids: Ids, rng: np.random.Generator) -> Flags:
        """(T,) which tokens to hide: `rate` of those that are no special ones, rounded, and at least one.

        Whole words, in random order, as long as they fit in; only where the shortest does not is there more.
        """
        if self.config.whole_words:
            numbers = word_numbers(ids, self.vocabulary, self.config.segmentation)
        else:
            special = self.vocabulary.is_special[ids]
            numbers = np.where(special, -1, np.cumsum(~special) - 1)
        real = numbers >= 0
        if not real.any():
            return np.zeros(len(ids), np.bool_)
        sizes = np.bincount(numbers[real])
        left = max(1, round(self.config.rate * int(real.sum())))
        chosen = np.zeros(len(sizes), np.bool_)
        for word in rng.permutation(len(sizes)).tolist():
            if sizes[word] <= left:
                chosen[word] = True
                left -= int(sizes[word])
            if not left:
                break
        if not chosen.any():
            chosen[sizes.argmin()] = True
        return real & chosen[numbers]

    def hide(self, ids: Ids, chosen: Flags, rng: np.random.Generator) -> Ids:
        """(T,) the tokens with the `chosen` ones replaced."""
        fate = rng.random(len(ids))
        others = rng.choice(self.vocabulary.text_ids, len(ids))
        masked = chosen & (fate < self.config.mask_share)
        changed = chosen & ~masked & (fate < self.config.mask_share + self.config.random_share)
        return np.where(masked, self.mask_id, np.where(changed, others, ids))


def targets_at(ids: Ids, chosen: Flags) -> Ids:
    return np.where(chosen, ids, IGNORED)


def hidden_rows(draw: Draw, masking: Masking) -> Batch:
    """B rows of tokens, some hidden; the last column of windows, which is the next window's first, is left out."""
    rows = draw.rows
    if isinstance(draw.source, Windows):
        rows = replace(rows, ids=rows.ids[:, :-1], segments=rows.segments[:, :-1])
    inputs, targets = [], []
    for ids, segments, rng in zip(rows.ids, rows.segments, draw.generators(), strict=True):
        size = int((segments != PADDING).sum())
        chosen = np.zeros(len(ids), np.bool_)
        chosen[:size] = masking.choose(ids[:size], rng)
        inputs.append(masking.hide(ids, chosen, rng))
        targets.append(targets_at(ids, chosen))
    return Batch(
        input_ids=torch.from_numpy(np.stack(inputs)),
        targets=torch.from_numpy(np.stack(targets)),
        attention_mask=padding_mask(rows),
        segments=document_segments(rows, separate=draw.separate_documents),
    )


def padding_mask(rows: PackedRow) -> Tensor | None:
    """(B, T) 1 at tokens, 0 at padding; None where all are tokens."""
    real = rows.segments != PADDING
    return None if real.all() else torch.from_numpy(real.astype(np.int64))


def document_segments(rows: PackedRow, *, separate: bool) -> Tensor | None:
    """(B, T) document numbers, where rows hold several that must not see each other."""
    return torch.from_numpy(rows.segments) if separate and bool((rows.segments > 0).any()) else None
