"""What all tasks on pairs of answers are told."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import PositiveInt

from wenlu.corpus.pairs import Columns
from wenlu.corpus.source import SourceSpec
from wenlu.models import Ability, Family
from wenlu.tasks.labelled.task import LabelledConfig, Role
from wenlu.tokenizers import ROLE_TOKENS


class PairConfig(LabelledConfig):
    """Attributes:
    max_tokens: of a prompt with an answer; "auto" is `train.context`.
    """

    suits: ClassVar[str] = "families that continue text"
    roles: ClassVar[tuple[Role, ...]] = (
        Role("text", "text", "all that is said"),
        Role("prompt", "prompt", "what is asked, a text or turns"),
        Role("chosen", "chosen", "the answer that is liked better"),
        Role("rejected", "rejected", "the other answer"),
    )
    max_tokens: PositiveInt | Literal["auto"] = "auto"

    def accepts(self, family: Family) -> bool:
        return Ability.CAUSAL in family.abilities

    @property
    def special_tokens(self) -> tuple[str, ...]:
        return ROLE_TOKENS

    @property
    def pair_columns(self) -> Columns:
        return Columns(*(self.column(role) for role in ("prompt", "chosen", "rejected")))

    def read_columns(self) -> tuple[str, ...]:
        return ()

    def source_of(self, spec: SourceSpec) -> SourceSpec:
        if spec.turns:  # which make the pair
            return spec
        columns = self.pair_columns
        return spec.model_copy(update={"pairs": (columns.prompt, *columns.answers)})

    def made_for(self, family: Family, context: int) -> Self:  # noqa: ARG002
        return self if self.max_tokens != "auto" else self.model_copy(update={"max_tokens": context})

    def room(self, context: int) -> int:
        """The most tokens of a prompt with an answer."""
        return context if self.max_tokens == "auto" else min(self.max_tokens, context)

    @property
    def trained_context(self) -> int | None:
        return None if self.max_tokens == "auto" else self.max_tokens
