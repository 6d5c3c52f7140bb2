"""Continue a prefix that is read from both sides (Liu et al. 2018, arXiv:1801.10198; Raffel et al. 2020,
arXiv:1910.10683, section 3.2.1)."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from wenlu.corpus.packing import PADDING
from wenlu.corpus.passages import Passages
from wenlu.corpus.shards import TokenData
from wenlu.models import Ability, Family, LanguageModel
from wenlu.tasks.objective import Guesses, Objective, asked_tokens, token_guesses
from wenlu.tasks.task import IGNORED, Batch, Draw, TaskConfig

LEAST = 4


class PrefixLMConfig(TaskConfig):
    """Where the prefix ends.

    Attributes:
        least, most: shares of a passage, between which its prefix is as long as chance says.
    """

    suits: ClassVar[str] = "decoders with attention, which a mask lets see both sides"
    name: Literal["prefix-lm"] = "prefix-lm"
    least: float = Field(default=0.1, gt=0, lt=1)
    most: float = Field(default=0.9, gt=0, lt=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least > self.most:
            raise ValueError(f"least ({self.least}) is greater than most ({self.most})")
        return self

    def accepts(self, family: Family) -> bool:
        return Ability.CAUSAL in family.abilities and Ability.RECURRENT not in family.abilities


class PrefixLM(Objective):
    """Give each token behind the prefix, and the end, a probability from the prefix and the tokens between.

    Each passage has a row of its own, and begins with the token that begins a text.
    """

    name = "prefix-lm"
    settings = PrefixLMConfig
    target = "token behind the prefix"
    ability = "continues a prefix that it reads from both sides"
    parts = ("prefix-lm",)
    headline = "prefix-lm"
    config: PrefixLMConfig

    def rows(self, data: TokenData, context: int) -> Passages:
        return self.passages(data, context)

    def passages(self, data: TokenData, context: int) -> Passages:
        return Passages(data, context - 1, least=LEAST)

    def batch(self, draw: Draw) -> Batch:
        """Rows begin + passage; `attention_mask` is (B, T, T): all see the prefix, the rest what is before it."""
        rows = draw.rows
        begin = self.tokenizer.bos_id
        assert begin is not None, "token data has a beginning of text, so its tokenizer has"
        ids = np.pad(rows.ids, ((0, 0), (1, 0)), constant_values=begin)
        length = ids.shape[1]
        targets = np.full_like(ids, IGNORED)
        sees = np.broadcast_to(np.tri(length, dtype=np.int64), (len(ids), length, length)).copy()
        for row, rng in enumerate(draw.generators()):
            size = int((rows.segments[row] != PADDING).sum())
            # The prefix includes the begin token; at least one token stands in it and one behind it.
            prefix = 1 + int(np.clip(round(size * rng.uniform(self.config.least, self.config.most)), 1, size - 1))
            sees[row, :, :prefix] = 1
            targets[row, prefix - 1 : size] = ids[row, prefix : size + 1]
        return Batch(
            input_ids=torch.from_numpy(ids),
            targets=torch.from_numpy(targets),
            attention_mask=torch.from_numpy(sees),
            num_tokens=int((rows.segments != PADDING).sum()) + len(ids),
        )

    def guesses(self, model: LanguageModel, batch: Batch) -> dict[str, Guesses]:
        hidden = model.hidden(batch.input_ids, attention_mask=batch.attention_mask)
        return {"prefix-lm": token_guesses(model, hidden, batch.targets)}

    def answers(self, batch: Batch) -> dict[str, Tensor]:
        return {"prefix-lm": asked_tokens(batch)}
