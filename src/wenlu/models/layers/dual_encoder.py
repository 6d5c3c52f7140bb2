"""Two encoders side by side, of texts and of pictures, that put both into one space."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

import torch.nn.functional as F
from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor, nn

from wenlu.models.family import DecodeState, LanguageModel, ModelConfig, Size
from wenlu.models.layers.mask import Mask, count_positions
from wenlu.models.layers.mlp import Activation
from wenlu.models.layers.norm import LayerNorm
from wenlu.models.layers.vision_tower import VisionConfig, VisionTower, draw, encoder_layer
from wenlu.models.weights.parts import VISION, grouped, lifted
from wenlu.models.weights.rules import Rename, Rule


class DualEncoderConfig(ModelConfig):
    """Settings of the text, and those of the pictures in `vision_config`."""

    whole: ClassVar[tuple[str, ...]] = ()
    """Keys of a Hugging Face config that are of neither part."""
    part_types: ClassVar[tuple[str, str]]
    """What a Hugging Face config calls the two parts."""

    hidden_size: Size
    intermediate_size: Size
    num_hidden_layers: int = Field(ge=1, le=1000)
    num_attention_heads: Size
    max_position_embeddings: Size
    hidden_act: Activation
    layer_norm_eps: PositiveFloat
    attention_dropout: float = Field(default=0.0, ge=0, lt=1)
    vision_config: VisionConfig

    @model_validator(mode="before")
    @classmethod
    def _lifted(cls, data: Any) -> Any:
        return lifted(data, cls, whole=cls.whole) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )
        return self

    def grouped(self, settings: dict[str, Any]) -> dict[str, Any]:
        text_type, vision_type = self.part_types
        return grouped(settings, whole=self.whole, text_type=text_type, vision_type=vision_type)

    def at_width(self, step: int) -> Self:
        """Heads of 8 × `step` in both parts."""
        hidden_size = 8 * step * self.num_attention_heads
        ratio = self.intermediate_size / self.hidden_size
        return self.model_copy(
            update={
                "hidden_size": hidden_size,
                "intermediate_size": max(8, round(ratio * hidden_size / 8) * 8),
                VISION: self.vision_config.at_width(step),
            }
        )


class DualEncoder(LanguageModel):
    """As a language model it is a bare encoder of texts; what it is for are `embed_text` and `embed_image`."""

    config: DualEncoderConfig
    vision: VisionTower
    logit_scale: nn.Parameter
    """The logarithm of what similarities are multiplied by."""

    def __init__(self, config: DualEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.embed_positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.layers = nn.ModuleList(
            encoder_layer(
                hidden_size=config.hidden_size,
                num_heads=config.num_attention_heads,
                intermediate_size=config.intermediate_size,
                activation=config.hidden_act,
                eps=config.layer_norm_eps,
                attention_dropout=config.attention_dropout,
            )
            for _ in range(config.num_hidden_layers)
        )
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.lm_head = nn.Identity()

    @abstractmethod
    def mask(self, x: Tensor, attention_mask: Tensor | None, segments: Tensor | None) -> Mask:
        """Which positions of the text (B, T, D) see which."""

    @abstractmethod
    def embed_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """(B, P), of length one: a vector for each text; padding, which the mask tells, on either side."""

    @abstractmethod
    def embed_image(self, pixel_values: Tensor) -> Tensor:
        """(M, P), of length one: a vector for each picture (M, C, H, W)."""

    def similarity(self, texts: Tensor, images: Tensor) -> Tensor:
        """Logits (B, M) that each text belongs to each picture, from the vectors of both."""
        return self.logit_scale.exp() * texts @ images.T

    def hidden(
        self,
        input_ids: Tensor | None,
        *,
        decoder_input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        token_types: Tensor | None = None,
        state: DecodeState | None = None,
    ) -> Tensor:
        name = type(self).__name__
        assert input_ids is not None, "only an encoder–decoder is called without input_ids"
        assert decoder_input_ids is None, f"{name} has no decoder"
        assert state is None, f"{name} remembers nothing between calls"
        assert token_types is None, f"{name} has no token types"
        if positions is None:
            positions = count_positions(input_ids, attention_mask=attention_mask, segments=segments)
        x = self.embed_tokens(input_ids) + self.embed_positions(positions)
        mask = self.mask(x, attention_mask, segments)
        for layer in self.layers:
            x = layer(x, mask)
        out: Tensor = self.norm(x)
        return out

    def finish(self) -> None:
        """Draw the weights: the last step of building."""
        draw(self, self.config.initializer_range)
        draw(self.vision, self.config.vision_config.initializer_range)


def unit(vectors: Tensor) -> Tensor:
    return F.normalize(vectors, dim=-1)


def _layers(theirs: str, ours: str) -> tuple[Rule, ...]:
    theirs, ours = f"{theirs}.encoder.layers.{{i}}", f"{ours}layers.{{i}}"
    return (
        *(
            Rename(f"{theirs}.self_attn.{name}.{{kind}}", f"{ours}.self_attn.{new}.{{kind}}")
            for name, new in (("q_proj", "q_proj"), ("k_proj", "k_proj"), ("v_proj", "v_proj"), ("out_proj", "o_proj"))
        ),
        Rename(f"{theirs}.layer_norm1.{{kind}}", f"{ours}.input_layernorm.{{kind}}"),
        Rename(f"{theirs}.layer_norm2.{{kind}}", f"{ours}.post_attention_layernorm.{{kind}}"),
        Rename(f"{theirs}.mlp.fc1.{{kind}}", f"{ours}.mlp.up_proj.{{kind}}"),
        Rename(f"{theirs}.mlp.fc2.{{kind}}", f"{ours}.mlp.down_proj.{{kind}}"),
    )


def vision_rules(theirs: str = "vision_model") -> tuple[Rule, ...]:
    """Names of CLIP's tower in the files of transformers, and of those modelled on it."""
    return (
        *_layers(theirs, "vision."),
        Rename(f"{theirs}.embeddings.class_embedding", "vision.embed_patches.class_vector"),
        Rename(f"{theirs}.embeddings.patch_embedding.{{kind}}", "vision.embed_patches.projection.{kind}"),
        Rename(f"{theirs}.embeddings.position_embedding.weight", "vision.embed_patches.positions.weight"),
        Rename(f"{theirs}.pre_layrnorm.{{kind}}", "vision.embed_norm.{kind}"),
        Rename(f"{theirs}.post_layernorm.{{kind}}", "vision.norm.{kind}"),
    )


RULES: tuple[Rule, ...] = (
    *vision_rules(),
    *_layers("text_model", ""),
    Rename("text_model.embeddings.token_embedding.weight", "embed_tokens.weight"),
    Rename("text_model.embeddings.position_embedding.weight", "embed_positions.weight"),
    Rename("text_model.final_layer_norm.{kind}", "norm.{kind}"),
)
"""From the names of Hugging Face's CLIP, and of all that were modelled on it, to ours."""

IGNORED = ("text_model.embeddings.position_ids", "vision_model.embeddings.position_ids")
"""Older checkpoints of them hold the numbers of the positions too."""
