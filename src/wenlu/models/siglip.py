"""SigLIP: whether a text and a picture belong together is asked of each pair by itself.

Zhai et al. 2023, arXiv:2303.15343; SigLIP 2 at fixed sizes (Tschannen et al. 2025, arXiv:2502.14786) is stored alike.
"""

from __future__ import annotations

import math
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from wenlu.models.family import Ability, Family, Size
from wenlu.models.layers.dual_encoder import IGNORED, RULES, DualEncoder, DualEncoderConfig, unit
from wenlu.models.layers.mask import Mask, bidirectional_mask
from wenlu.models.layers.mlp import Activation
from wenlu.models.layers.pooling_head import PoolingHead
from wenlu.models.layers.vision_tower import VisionConfig, VisionTower, proportional
from wenlu.models.weights.rules import Leading, Rename, Split


class SiglipVisionConfig(VisionConfig):
    """Keys of Hugging Face's `SiglipVisionConfig`."""

    hidden_size: Size = 768
    intermediate_size: Size = 3072
    num_hidden_layers: int = Field(default=12, ge=1, le=1000)
    num_attention_heads: Size = 12
    patch_size: Size = 16
    hidden_act: Activation = "gelu_pytorch_tanh"
    layer_norm_eps: float = Field(default=1e-6, gt=0)
    vision_use_head: Literal[True] = True


class SiglipConfig(DualEncoderConfig):
    """Keys of Hugging Face's `SiglipConfig`, those of its `SiglipTextConfig` beside them."""

    part_types = ("siglip_text_model", "siglip_vision_model")

    vocab_size: Size = 32000
    hidden_size: Size = 768
    intermediate_size: Size = 3072
    num_hidden_layers: int = Field(default=12, ge=1, le=1000)
    num_attention_heads: Size = 12
    max_position_embeddings: Size = 64
    hidden_act: Activation = "gelu_pytorch_tanh"
    layer_norm_eps: float = Field(default=1e-6, gt=0)
    pad_token_id: int = Field(default=1, ge=0)
    bos_token_id: int | None = 49406
    eos_token_id: int | list[int] | None = 49407
    vision_config: SiglipVisionConfig = Field(default_factory=lambda known: SiglipVisionConfig(**proportional(known)))
    projection_size: Size = Field(default_factory=lambda known: _same_space(known))

    @model_validator(mode="after")
    def _one_space(self) -> Self:
        if self.projection_size != self.vision_config.hidden_size:
            raise ValueError(
                f"texts become vectors of {self.projection_size} numbers (projection_size) and pictures of "
                f"{self.vision_config.hidden_size} (vision_config.hidden_size), but both must be of one space"
            )
        return self

    def at_width(self, step: int) -> Self:
        wider = super().at_width(step)
        return wider.model_copy(update={"projection_size": wider.vision_config.hidden_size})


def _same_space(known: dict[str, Any]) -> int:
    tower: SiglipVisionConfig = known["vision_config"]
    return tower.hidden_size


class Siglip(DualEncoder):
    config: SiglipConfig

    def __init__(self, config: SiglipConfig) -> None:
        super().__init__(config)
        tower = config.vision_config
        self.vision = VisionTower(tower)
        self.pool = PoolingHead(
            hidden_size=tower.hidden_size,
            num_heads=tower.num_attention_heads,
            intermediate_size=tower.intermediate_size,
            activation=tower.hidden_act,
            eps=tower.layer_norm_eps,
        )
        self.text_projection = nn.Linear(config.hidden_size, config.projection_size)
        self.logit_scale = nn.Parameter(torch.full((1,), math.log(10.0)))
        self.logit_bias = nn.Parameter(torch.full((1,), -10.0))
        """Begins where a batch of 22,000 pairs is at rest; a small one should set it to -log(B - 1)."""
        self.finish()

    def mask(self, x: Tensor, attention_mask: Tensor | None, segments: Tensor | None) -> Mask:
        return bidirectional_mask(x, attention_mask=attention_mask, segments=segments)

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """(B, P), of length one.

        A text is read as the published models were trained: at the last of `max_position_embeddings` positions, all of
        which it is padded to and all of which see the padding. Shorter rows, and padding that the mask tells, come out
        as if the tokenizer had done so.
        """
        hidden = self.hidden(self._full_length(input_ids, attention_mask))
        return unit(self.text_projection(hidden[:, -1]))

    def embed_image(self, pixel_values: Tensor) -> Tensor:
        return unit(self.pool(self.vision(pixel_values)))

    def similarity(self, texts: Tensor, images: Tensor) -> Tensor:
        """Logits (B, M); their sigmoid is the probability that a text and a picture belong together."""
        return super().similarity(texts, images) + self.logit_bias

    def _full_length(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """The real tokens of each row from the left, then padding."""
        B, T = input_ids.shape
        if attention_mask is not None:
            real = attention_mask.bool()
            order = (~real).int().argsort(dim=1, stable=True)
            padded = input_ids.masked_fill(~real, self.config.pad_token_id)
            input_ids = padded.gather(1, order)
        length = self.config.max_position_embeddings
        if length < T:
            raise ValueError(f"a text of {T} tokens is longer than max_position_embeddings {length}; cut it")
        missing = input_ids.new_full((B, length - T), self.config.pad_token_id)
        return torch.cat((input_ids, missing), dim=1)


_POOL = "vision_model.head"

FAMILY = Family(
    name="siglip",
    hf_types=("siglip",),
    heads={"none": "SiglipModel"},
    reference="siglip",
    abilities=frozenset({Ability.MATCHES}),
    config=SiglipConfig,
    model=Siglip,
    proportions={
        "hidden_size": 192,
        "intermediate_size": 768,
        "num_hidden_layers": 4,
        "num_attention_heads": 3,
    },
    rules=(
        *RULES,
        Rename("text_model.head.{kind}", "text_projection.{kind}"),
        Leading(f"{_POOL}.probe", 2),
        Rename(f"{_POOL}.probe", "pool.probe"),
        *(
            Split(f"{_POOL}.attention.in_proj_{kind}", tuple(f"pool.attention.{name}_proj.{kind}" for name in "qkv"))
            for kind in ("weight", "bias")
        ),
        Rename(f"{_POOL}.attention.out_proj.{{kind}}", "pool.attention.o_proj.{kind}"),
        Rename(f"{_POOL}.layernorm.{{kind}}", "pool.norm.{kind}"),
        Rename(f"{_POOL}.mlp.fc1.{{kind}}", "pool.mlp.up_proj.{kind}"),
        Rename(f"{_POOL}.mlp.fc2.{{kind}}", "pool.mlp.down_proj.{kind}"),
    ),
    ignored=IGNORED,
    harmless=frozenset({"initializer_factor", "tie_word_embeddings"}),
)
