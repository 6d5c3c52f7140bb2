"""Fill in hidden tokens from both sides (Devlin et al. 2019, arXiv:1810.04805; whole words: Cui et al. 2021,
arXiv:1906.08101)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor

from wenlu.corpus.packing import Windows
from wenlu.corpus.shards import TokenData
from wenlu.models import Ability, Family, LanguageModel
from wenlu.tasks.corruption.masking import Masking, MaskingConfig, hidden_rows
from wenlu.tasks.corruption.vocabulary import Vocabulary
from wenlu.tasks.objective import Guesses, Objective, asked_tokens, token_guesses
from wenlu.tasks.task import Batch, Draw, TaskConfig
from wenlu.tokenizers import Tokenizer


class MaskedLMConfig(MaskingConfig, TaskConfig):
    """Which tokens are hidden, and how."""

    suits: ClassVar[str] = "families that fill in from both sides"
    name: Literal["masked-lm"] = "masked-lm"

    def accepts(self, family: Family) -> bool:
        return Ability.MASKED in family.abilities

    @property
    def special_tokens(self) -> tuple[str, ...]:
        return (self.mask_token,)

    @property
    def model_settings(self) -> Mapping[str, str]:
        return {"head": "masked-lm"}


class MaskedLM(Objective):
    """Give each hidden token a probability from what stands on both sides."""

    name = "masked-lm"
    settings = MaskedLMConfig
    target = "masked token"
    ability = "fills in [MASK]"
    parts = ("masked-lm",)
    headline = "masked-lm"

    def __init__(self, config: MaskedLMConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.masking = Masking(config, Vocabulary(tokenizer), self.name)

    def rows(self, data: TokenData, context: int) -> Windows:
        return Windows(data, context)

    def batch(self, draw: Draw) -> Batch:
        return hidden_rows(draw, self.masking)

    def guesses(self, model: LanguageModel, batch: Batch) -> dict[str, Guesses]:
        hidden = model.hidden(batch.input_ids, attention_mask=batch.attention_mask, segments=batch.segments)
        return {"masked-lm": token_guesses(model, hidden, batch.targets)}

    def answers(self, batch: Batch) -> dict[str, Tensor]:
        return {"masked-lm": asked_tokens(batch)}
