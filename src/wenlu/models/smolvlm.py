"""SmolVLM and Idefics3: a Llama that reads pictures, which a tower like SigLIP's sees and a shuffle of pixels shortens.

Marafioti et al. 2025, arXiv:2504.05299; Laurençon et al. 2024, arXiv:2408.12637.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from wenlu.models import llama
from wenlu.models.family import Ability, Family, Size
from wenlu.models.layers.dual_encoder import vision_rules
from wenlu.models.layers.mlp import Activation
from wenlu.models.layers.pixel_shuffle import pixel_shuffle
from wenlu.models.layers.seeing import SeeingDecoder
from wenlu.models.layers.vision_tower import VisionConfig, VisionTower, draw, proportional
from wenlu.models.weights.parts import VISION, grouped, lifted
from wenlu.models.weights.rules import Rename, Tie


class SmolVLMVisionConfig(VisionConfig):
    """Keys of Hugging Face's `SmolVLMVisionConfig`."""

    harmless = frozenset({"max_image_size", "size", "use_base_siglip"})

    hidden_size: Size = 1152
    intermediate_size: Size = 3072
    num_hidden_layers: int = Field(default=12, ge=1, le=1000)
    num_attention_heads: Size = 16
    patch_size: Size = 32
    hidden_act: Activation = "gelu_pytorch_tanh"
    layer_norm_eps: float = Field(default=1e-6, gt=0)


class SmolVLMConfig(llama.LlamaConfig):
    """Keys of Hugging Face's `SmolVLMConfig`, those of the Llama beside them."""

    image_token_id: int = Field(default=128257, ge=0)
    scale_factor: int = Field(default=2, ge=1, le=64)
    """So many patches along each side become one token."""
    vision_config: SmolVLMVisionConfig = Field(default_factory=lambda known: SmolVLMVisionConfig(**proportional(known)))

    @model_validator(mode="before")
    @classmethod
    def _lifted(cls, data: Any) -> Any:
        return lifted(data, cls, whole=_WHOLE, harmless=_HARMLESS) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _patches_fit(self) -> Self:
        side = self.vision_config.side
        if side % self.scale_factor:
            raise ValueError(
                f"a side of {side} patches (vision_config.image_size / patch_size) is not a multiple of "
                f"scale_factor {self.scale_factor}"
            )
        return self

    @property
    def tokens_per_image(self) -> int:
        """How many placeholders a picture, or a tile of one, takes."""
        return (self.vision_config.side // self.scale_factor) ** 2

    def grouped(self, settings: dict[str, Any]) -> dict[str, Any]:
        return grouped(settings, whole=_WHOLE, text_type="llama", vision_type="smolvlm_vision")

    def at_width(self, step: int) -> Self:
        """Heads of 8 × `step` in both parts."""
        return super().at_width(step).model_copy(update={VISION: self.vision_config.at_width(step)})


_WHOLE = ("image_token_id", "scale_factor", "tie_word_embeddings")
_HARMLESS = llama.FAMILY.harmless | {
    "_flash_attn_2_enabled",
    "is_llama_config",
    "neftune_noise_alpha",
    "perceiver_config",
    "pixel_shuffle_factor",
    "transformers.js_config",
}


class Connector(nn.Module):
    """What a tower saw, as fewer vectors of the text's width."""

    def __init__(self, seen_size: int, hidden_size: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.proj = nn.Linear(seen_size * scale**2, hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(pixel_shuffle(x, self.scale))
        return out


class SmolVLM(SeeingDecoder, llama.Llama):
    config: SmolVLMConfig

    def __init__(self, config: SmolVLMConfig) -> None:
        super().__init__(config)
        tower = config.vision_config
        self.vision = VisionTower(tower, numbers=numbers_by_fraction)
        self.connector = Connector(tower.hidden_size, config.hidden_size, config.scale_factor)
        draw(self.vision, tower.initializer_range)
        draw(self.connector, config.initializer_range)

    @property
    def image_token_id(self) -> int:
        return self.config.image_token_id

    @property
    def tokens_per_image(self) -> int:
        return self.config.tokens_per_image

    def embed_image(self, pixel_values: Tensor) -> Tensor:
        out: Tensor = self.connector(self.vision(pixel_values))
        return out


def numbers_by_fraction(side: int) -> Tensor:
    """The learned place that each patch takes by how far along the picture it begins, as fp32 knows it.

    With some numbers of patches a fraction falls below the boundary that it should meet, and two patches share a place
    that a third one leaves: the published weights were trained so.
    """
    boundaries = torch.arange(1 / side, 1.0, 1 / side)
    fractions = (torch.arange(side, dtype=torch.float32) * (1.0 / torch.tensor(side))).clamp(max=1.0 - 1e-6)
    along = torch.bucketize(fractions, boundaries, right=True)
    return (along[:, None] * side + along[None, :]).flatten()


FAMILY = Family(
    name="smolvlm",
    hf_types=("smolvlm", "idefics3"),
    heads={"causal-lm": "SmolVLMForConditionalGeneration"},
    reference="smolvlm",
    abilities=frozenset({Ability.CAUSAL, Ability.SEES}),
    config=SmolVLMConfig,
    model=SmolVLM,
    proportions={
        "hidden_size": 192,
        "intermediate_size": 528,
        "num_hidden_layers": 4,
        "num_attention_heads": 3,
    },
    rules=(
        *vision_rules("model.vision_model"),
        Rename("model.connector.modality_projection.proj.weight", "connector.proj.weight"),
        *(
            Rename(f"model.text_model.{part}.{{rest}}", f"{part}.{{rest}}")
            for part in ("embed_tokens", "layers", "norm")
        ),
        Tie("lm_head.weight", "embed_tokens.weight", when="tie_word_embeddings"),
    ),
    ignored=(
        "model.text_model.layers.{layer}.self_attn.rotary_emb.inv_freq",
        "model.vision_model.embeddings.position_ids",
    ),
    harmless=frozenset({"_pad_token_id", "transformers.js_config", "use_reentrant_checkpointing"}),
)
