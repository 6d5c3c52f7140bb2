"""ViT: a picture as a row of patches before an encoder.

Dosovitskiy et al. 2021, arXiv:2010.11929.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator
from torch import Tensor, nn

from wenlu.models.family import Ability, Size
from wenlu.models.layers.encoder import Pooler
from wenlu.models.layers.image_encoder import ImageEncoder, ImageFamily
from wenlu.models.layers.labels import Labels
from wenlu.models.layers.mlp import Activation
from wenlu.models.layers.vision_tower import VisionConfig, VisionTower, draw
from wenlu.models.weights.heads import BaseModel, PoolerIsThere
from wenlu.models.weights.rules import Leading, Rename


class ViTConfig(VisionConfig, Labels):
    """Keys of Hugging Face's `ViTConfig`.

    `has_pooler`, a key of our own, says whether a bare model has one; there it is an argument of the class.
    """

    model_config = ConfigDict(populate_by_name=True)

    head: Literal["none", "image-classification"] = "none"
    hidden_size: Size = 768
    intermediate_size: Size = 3072
    num_hidden_layers: int = Field(default=12, ge=1, le=1000)
    num_attention_heads: Size = 12
    patch_size: Size = 16
    hidden_act: Activation = "gelu"
    layer_norm_eps: float = Field(default=1e-12, gt=0)
    attention_dropout: float = Field(default=0.0, ge=0, lt=1, alias="attention_probs_dropout_prob")
    hidden_dropout_prob: float = Field(default=0.0, ge=0, lt=1)
    qkv_bias: bool = True
    pooler_act: Literal["tanh"] = "tanh"
    pooler_output_size: Size | None = None
    has_pooler: bool = True

    @model_validator(mode="after")
    def _pooler_keeps_the_size(self) -> Self:
        if self.pooler_output_size not in (None, self.hidden_size):
            raise ValueError(f"pooler_output_size {self.pooler_output_size} is not hidden_size {self.hidden_size}")
        return self


class ViT(ImageEncoder):
    """Its call returns, by the config's `head`: of `none` hidden states (M, S, D), the first of the whole picture; of
    `image-classification` logits (M, L)."""

    config: ViTConfig

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = VisionTower(config, has_class=True, qkv_bias=config.qkv_bias, dropout=config.hidden_dropout_prob)
        is_bare = config.head == "none"
        self.pooler = Pooler(config.hidden_size) if is_bare and config.has_pooler else None
        self.classifier = None if is_bare else nn.Linear(config.hidden_size, config.num_labels)
        draw(self, config.initializer_range)

    def hidden(self, pixel_values: Tensor) -> Tensor:
        out: Tensor = self.vision(pixel_values)
        return out

    def pooled(self, hidden: Tensor) -> Tensor:
        """(M, D) of hidden states: the vector of the whole picture, through the pooler where there is one."""
        return hidden[:, 0] if self.pooler is None else self.pooler(hidden[:, 0])

    def forward(self, pixel_values: Tensor) -> Tensor:
        hidden = self.hidden(pixel_values)
        return hidden if self.classifier is None else self.classifier(hidden[:, 0])


_LAYER = "encoder.layer.{i}"
_OURS = "vision.layers.{i}"

FAMILY = ImageFamily(
    name="vit",
    hf_types=("vit",),
    heads={"none": "ViTModel", "image-classification": "ViTForImageClassification"},
    reference="vit",
    abilities=frozenset({Ability.PICTURES}),
    config=ViTConfig,
    model=ViT,
    rules=(
        BaseModel("vit", ("embeddings", "encoder", "layernorm", "pooler")),
        PoolerIsThere(),
        *(
            Rename(f"{_LAYER}.attention.attention.{name}.{{kind}}", f"{_OURS}.self_attn.{name[0]}_proj.{{kind}}")
            for name in ("query", "key", "value")
        ),
        Rename(f"{_LAYER}.attention.output.dense.{{kind}}", f"{_OURS}.self_attn.o_proj.{{kind}}"),
        Rename(f"{_LAYER}.layernorm_before.{{kind}}", f"{_OURS}.input_layernorm.{{kind}}"),
        Rename(f"{_LAYER}.layernorm_after.{{kind}}", f"{_OURS}.post_attention_layernorm.{{kind}}"),
        Rename(f"{_LAYER}.intermediate.dense.{{kind}}", f"{_OURS}.mlp.up_proj.{{kind}}"),
        Rename(f"{_LAYER}.output.dense.{{kind}}", f"{_OURS}.mlp.down_proj.{{kind}}"),
        Leading("embeddings.cls_token", 2),
        Rename("embeddings.cls_token", "vision.embed_patches.class_vector"),
        Leading("embeddings.position_embeddings", 1),
        Rename("embeddings.position_embeddings", "vision.embed_patches.positions.weight"),
        Rename("embeddings.patch_embeddings.projection.{kind}", "vision.embed_patches.projection.{kind}"),
        Rename("layernorm.{kind}", "vision.norm.{kind}"),
    ),
    harmless=frozenset({"encoder_stride"}),
)
