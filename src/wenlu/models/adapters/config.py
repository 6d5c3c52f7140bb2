"""The section `[adapter]` of a recipe: what is learnt in place of all weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field, PositiveFloat

from wenlu.config import Config

ALL_LINEAR: Final = "all-linear"


class AdapterConfig(Config):
    """A product of two small matrices beside each of some linear maps, whose own weights stay as they are.

    Attributes:
        kind: LoRA (Hu et al. 2021, arXiv:2106.09685); rsLoRA, whose scale is alpha / √rank so that large ranks learn
            as fast as small ones (Kalajdzievski 2023, arXiv:2312.03732); DoRA, which also learns the length of each
            output's weights (Liu et al. 2024, arXiv:2402.09353), for about a third more time.
        rank: numbers between the two matrices.
        alpha: over the rank the scale of what is added.
        dropout: of what the matrices read, in training; to draw what is dropped takes a fifth of a step on a CPU.
        targets: names of linear maps as `q_proj` or `self_attn.o_proj`; "all-linear": all but heads and embeddings.
        also_train: parts that are trained whole, by their names as `norm` or `embed_tokens`; what the base does not
            have, as a head, always is.
        base_bits: 8 or 4 keep the base's linear maps as whole numbers (QLoRA: Dettmers et al. 2023, arXiv:2305.14314).
    """

    kind: Literal["lora", "rslora", "dora"] = "lora"
    rank: Annotated[int, Field(ge=1, le=4096)] = 16
    alpha: PositiveFloat = 32.0
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    targets: Literal["all-linear"] | tuple[str, ...] = ALL_LINEAR
    also_train: tuple[str, ...] = ()
    base_bits: Literal[16, 8, 4] = 16

    @property
    def form(self) -> Form:
        return Form(self.rank, self.alpha, self.kind == "rslora", self.kind == "dora", self.dropout)


@dataclass(frozen=True)
class Form:
    """How one linear map is adapted.

    Attributes:
        is_stabilised: the scale is alpha / √rank. is_dora: the length of each output's weights is learnt too.
    """

    rank: int
    alpha: float
    is_stabilised: bool = False
    is_dora: bool = False
    dropout: float = 0.0

    @property
    def scale(self) -> float:
        return self.alpha / (math.sqrt(self.rank) if self.is_stabilised else self.rank)
