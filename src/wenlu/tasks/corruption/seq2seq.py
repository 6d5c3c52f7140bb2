"""Objectives of encoder–decoders: a spoilt text is read, and what is missing or the whole is written."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from wenlu.corpus.packing import PADDING, Ids
from wenlu.corpus.passages import Passages
from wenlu.corpus.shards import TokenData
from wenlu.models import Ability, Family, LanguageModel
from wenlu.tasks.objective import Guesses, Objective, asked_tokens, padded, token_guesses
from wenlu.tasks.task import IGNORED, Batch, Draw, TaskConfig

LEAST = 4
"""Tokens of a passage that can lose some."""


class Seq2SeqConfig(TaskConfig):
    suits: ClassVar[str] = "families that read one text and write another"

    def accepts(self, family: Family) -> bool:
        return Ability.ENCODER_DECODER in family.abilities


class Seq2SeqObjective(Objective):
    """Each passage is a pair of a source and a target, each with the token that ends a text behind it.

    The decoder begins with that token too, as BART's does.
    """

    extra_places: ClassVar[int]
    """How many tokens more than its passage a source or target may have."""

    @abstractmethod
    def noised(self, ids: Ids, rng: np.random.Generator) -> tuple[Ids, Ids]:
        """Source and target of a passage, without their ends."""

    def rows(self, data: TokenData, context: int) -> Passages:
        return self.passages(data, context)

    def passages(self, data: TokenData, context: int) -> Passages:
        return Passages(data, context - self.extra_places, least=LEAST)

    def batch(self, draw: Draw) -> Batch:
        end = self.tokenizer.eos_id
        assert end is not None, "token data has an end of text, so its tokenizer has"
        sources, targets = [], []
        for ids, segments, rng in zip(draw.rows.ids, draw.rows.segments, draw.generators(), strict=True):
            source, target = self.noised(ids[segments != PADDING], rng)
            sources.append(np.append(source, end))
            targets.append(np.append(target, end))
        sizes = torch.tensor([len(source) for source in sources])
        is_padded = bool((sizes < sizes.max()).any())
        written = padded(targets, end)
        return Batch(
            input_ids=padded(sources, end),
            targets=padded(targets, IGNORED),
            attention_mask=(torch.arange(int(sizes.max())) < sizes[:, None]).long() if is_padded else None,
            decoder_input_ids=torch.cat([torch.full_like(written[:, :1], end), written[:, :-1]], dim=1),
        )

    def guesses(self, model: LanguageModel, batch: Batch) -> dict[str, Guesses]:
        hidden = model.hidden(
            batch.input_ids, decoder_input_ids=batch.decoder_input_ids, attention_mask=batch.attention_mask
        )
        return {self.headline: token_guesses(model, hidden, batch.targets)}

    def answers(self, batch: Batch) -> dict[str, Tensor]:
        return {self.headline: asked_tokens(batch)}
