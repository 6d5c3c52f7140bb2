"""CLIP: a text and a picture belong together where their vectors point the same way.

Radford et al. 2021, arXiv:2103.00020.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from wenlu.models.family import Ability, Family, Size
from wenlu.models.layers.dual_encoder import IGNORED, RULES, DualEncoder, DualEncoderConfig, unit
from wenlu.models.layers.mask import Mask, causal_mask
from wenlu.models.layers.mlp import Activation
from wenlu.models.layers.vision_tower import VisionConfig, VisionTower, proportional
from wenlu.models.weights.rules import Rename


class CLIPVisionConfig(VisionConfig):
    """Keys of Hugging Face's `CLIPVisionConfig`."""

    hidden_size: Size = 768
    intermediate_size: Size = 3072
    num_hidden_layers: int = Field(default=12, ge=1, le=1000)
    num_attention_heads: Size = 12
    patch_size: Size = 32
    hidden_act: Activation = "quick_gelu"
    layer_norm_eps: float = Field(default=1e-5, gt=0)


class CLIPConfig(DualEncoderConfig):
    """Keys of Hugging Face's `CLIPConfig`, those of its `CLIPTextConfig` beside them.

    A text is read at its first `eos_token_id`. Of files that say 2, as all did before 2023 whatever their tokenizer,
    at its highest token, which is the end in OpenAI's vocabulary.
    """

    whole = ("projection_dim", "logit_scale_init_value")
    part_types = ("clip_text_model", "clip_vision_model")

    vocab_size: Size = 49408
    hidden_size: Size = 512
    intermediate_size: Size = 2048
    num_hidden_layers: int = Field(default=12, ge=1, le=1000)
    num_attention_heads: Size = 8
    max_position_embeddings: Size = 77
    hidden_act: Activation = "quick_gelu"
    layer_norm_eps: float = Field(default=1e-5, gt=0)
    pad_token_id: int | None = 1
    bos_token_id: int | None = 49406
    eos_token_id: int | list[int] | None = 49407
    projection_dim: Size = 512
    logit_scale_init_value: float = math.log(1 / 0.07)
    vision_config: CLIPVisionConfig = Field(default_factory=lambda known: CLIPVisionConfig(**proportional(known)))

    @field_validator("eos_token_id")
    @classmethod
    def _one_end(cls, value: int | list[int] | None) -> int:
        if not isinstance(value, int):
            raise ValueError(f"{value!r}: CLIP reads a text at its end, which is one token; say which")
        return value


class CLIP(DualEncoder):
    config: CLIPConfig

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__(config)
        self.vision = VisionTower(config.vision_config, has_class=True, patch_bias=False, embed_norm=True)
        self.text_projection = nn.Linear(config.hidden_size, config.projection_dim, bias=False)
        self.vision_projection = nn.Linear(config.vision_config.hidden_size, config.projection_dim, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale_init_value))
        self.finish()

    def mask(self, x: Tensor, attention_mask: Tensor | None, segments: Tensor | None) -> Mask:
        return causal_mask(x.size(1), attention_mask=attention_mask, segments=segments, dtype=x.dtype)

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """(B, P), of length one; raises ValueError for a text without an end."""
        hidden = self.hidden(input_ids, attention_mask=attention_mask)
        rows = torch.arange(len(input_ids), device=input_ids.device)
        return unit(self.text_projection(hidden[rows, self._ends(input_ids, attention_mask)]))

    def embed_image(self, pixel_values: Tensor) -> Tensor:
        return unit(self.vision_projection(self.vision(pixel_values)[:, 0]))

    def _ends(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """(B,): where each text is read."""
        real = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
        if self.config.eos_token_id == 2:
            return (input_ids + 1).mul(real).argmax(dim=1)
        is_end = (input_ids == self.config.eos_token_id) & real.bool()
        if not is_end.any(dim=1).all():
            row = int(is_end.any(dim=1).int().argmin())
            raise ValueError(
                f"text {row} of {len(input_ids)} holds no token {self.config.eos_token_id}, the end, at which CLIP "
                f"reads it; put it after the last word, also where a text was cut"
            )
        return is_end.int().argmax(dim=1)


FAMILY = Family(
    name="clip",
    hf_types=("clip",),
    heads={"none": "CLIPModel"},
    reference="clip",
    abilities=frozenset({Ability.MATCHES}),
    config=CLIPConfig,
    model=CLIP,
    proportions={
        "hidden_size": 192,
        "intermediate_size": 768,
        "num_hidden_layers": 4,
        "num_attention_heads": 3,
    },
    rules=(
        *RULES,
        Rename("visual_projection.weight", "vision_projection.weight"),
    ),
    ignored=IGNORED,
    harmless=frozenset({"initializer_factor", "tie_word_embeddings"}),
)
