"""Two texts in a row, between which the model is to see a relation; some of their tokens are hidden too."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from pydantic import PositiveFloat
from torch import Tensor

from wenlu.corpus.packing import PADDING, Ids
from wenlu.corpus.passages import Passages
from wenlu.corpus.shards import TokenData
from wenlu.models import Family, LanguageModel
from wenlu.models.bert import Bert
from wenlu.tasks.corruption.masking import Masking, MaskingConfig, targets_at
from wenlu.tasks.corruption.vocabulary import Vocabulary
from wenlu.tasks.objective import Guesses, Objective, asked_tokens, padded, token_guesses
from wenlu.tasks.task import IGNORED, Batch, Draw, TaskConfig
from wenlu.tokenizers import Tokenizer

SPECIAL = 3
"""Places that [CLS] first [SEP] second [SEP] takes beside the texts."""
LEAST = 8
"""Tokens that are enough for two texts."""


class PairsConfig(MaskingConfig, TaskConfig):
    """Settings of a task on pairs of texts.

    Attributes:
        label_weight: a pair counts in the loss as so many hidden tokens. 20 is about what a row of 128 hides, so
            that the loss is the mean over hidden tokens plus the mean over pairs.
    """

    suits: ClassVar[str] = "families with a head for hidden tokens and pairs of texts"
    cls_token: str = "[CLS]"
    sep_token: str = "[SEP]"
    label_weight: PositiveFloat = 20.0

    def accepts(self, family: Family) -> bool:
        return "pretraining" in family.heads

    @property
    def special_tokens(self) -> tuple[str, ...]:
        return self.cls_token, self.sep_token, self.mask_token

    @property
    def model_settings(self) -> Mapping[str, str]:
        return {"head": "pretraining"}


class Pairs(Objective):
    """Rows [CLS] first [SEP] second [SEP]; label 0: the second text follows the first in their document."""

    target = "masked token"

    def __init__(self, config: PairsConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.label_weight = config.label_weight
        self.vocabulary = Vocabulary(tokenizer)
        self.masking = Masking(config, self.vocabulary, self.name)
        self.cls_id, self.sep_id = self.vocabulary.ids_of([config.cls_token, config.sep_token], self.name)

    @abstractmethod
    def pair(self, ids: Ids, place: int, source: Passages, rng: np.random.Generator) -> tuple[Ids, Ids, int]:
        """First text, second text and label of the passage `ids`, which is at `place` in `source`."""

    def weights(self) -> dict[str, float]:
        return {self.headline: self.label_weight}

    def num_classes(self, part: str) -> int:
        return 2 if part == self.headline else super().num_classes(part)

    def rows(self, data: TokenData, context: int) -> Passages:
        return self.passages(data, context)

    def passages(self, data: TokenData, context: int) -> Passages:
        return Passages(data, context - SPECIAL, least=LEAST)

    def batch(self, draw: Draw) -> Batch:
        assert isinstance(draw.source, Passages), f"{self.name} draws from passages"
        inputs, targets, types, labels = [], [], [], []
        numbered = zip(draw.rows.ids, draw.rows.segments, draw.places.tolist(), draw.generators(), strict=True)
        for ids, segments, place, rng in numbered:
            first, second, label = self.pair(ids[segments != PADDING], place, draw.source, rng)
            row = np.concatenate([[self.cls_id], first, [self.sep_id], second, [self.sep_id]])
            chosen = self.masking.choose(row, rng)
            inputs.append(self.masking.hide(row, chosen, rng))
            targets.append(targets_at(row, chosen))
            types.append(np.repeat([0, 1], [len(first) + 2, len(second) + 1]))
            labels.append(label)
        sizes = torch.tensor([len(row) for row in inputs])
        return Batch(
            input_ids=padded(inputs, draw.source.data.eos_id),
            targets=padded(targets, IGNORED),
            attention_mask=(torch.arange(int(sizes.max())) < sizes[:, None]).long(),
            token_types=padded(types, 0),
            labels=torch.tensor(labels),
        )

    def guesses(self, model: LanguageModel, batch: Batch) -> dict[str, Guesses]:
        assert isinstance(model, Bert), f"{type(model).__name__} has no head for pairs of texts"
        assert batch.labels is not None, "a batch of pairs has labels"
        mask = batch.attention_mask
        hidden = model.hidden(batch.input_ids, attention_mask=mask, token_types=batch.token_types)
        rows = torch.arange(len(batch.labels), device=batch.labels.device)
        pairs = Guesses.of(model.sentence_logits(hidden, mask), batch.labels, rows)
        return {"masked-lm": token_guesses(model, hidden, batch.targets), self.headline: pairs}

    def answers(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.labels is not None, "a batch of pairs has labels"
        return {"masked-lm": asked_tokens(batch), self.headline: batch.labels}

    def cut(self, ids: Ids, rng: np.random.Generator) -> int:
        """Where a second text begins: behind a sentence where there is one, else anywhere; both have a token."""
        ends = np.flatnonzero(self.vocabulary.ends_sentence[ids[:-1]]) + 1
        return int(rng.choice(ends)) if len(ends) else int(rng.integers(1, len(ids)))
