"""The encoder of pictures that all families have which read them, and its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor, nn

from wenlu.config import Config
from wenlu.models.family import Size
from wenlu.models.layers.attention import Attention
from wenlu.models.layers.mask import EVERYTHING
from wenlu.models.layers.mlp import Activation, PlainMLP
from wenlu.models.layers.norm import LayerNorm
from wenlu.models.layers.patches import PatchEmbedding, in_order
from wenlu.models.layers.pre_norm_encoder_decoder import PreNormEncoderLayer
from wenlu.models.weights.parts import with_meaning


class VisionConfig(Config):
    """Keys that the `vision_config` of every Hugging Face family has."""

    harmless: ClassVar[frozenset[str]] = frozenset()
    """Keys of published files that say nothing of what the tower computes."""

    hidden_size: Size
    intermediate_size: Size
    num_hidden_layers: int = Field(ge=1, le=1000)
    num_attention_heads: Size
    hidden_act: Activation
    layer_norm_eps: PositiveFloat
    num_channels: int = Field(default=3, ge=1, le=64)
    image_size: Size = 224
    """Pixels of a side; pictures are squares."""
    patch_size: Size
    initializer_range: float = Field(default=0.02, ge=0, le=1)
    attention_dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="before")
    @classmethod
    def _only_what_says_something(cls, data: Any) -> Any:
        return with_meaning(data, cls, cls.harmless) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )
        if not self.patch_size <= self.image_size <= 2**14:
            raise ValueError(f"image_size {self.image_size} is not between patch_size {self.patch_size} and {2**14}")
        return self

    @property
    def side(self) -> int:
        """Patches along a side; what is left of a picture at its right and bottom is not read."""
        return self.image_size // self.patch_size

    def grouped(self, settings: dict[str, Any]) -> dict[str, Any]:
        """As `ModelConfig.grouped`: there are no parts."""
        return settings

    def at_width(self, step: int) -> Self:
        """Heads of 8 × `step`; their number stays, the feed-forward's width keeps its ratio."""
        hidden_size = 8 * step * self.num_attention_heads
        ratio = self.intermediate_size / self.hidden_size
        return self.model_copy(
            update={"hidden_size": hidden_size, "intermediate_size": max(8, round(ratio * hidden_size / 8) * 8)}
        )


class VisionTower(nn.Module):
    """Patches → layers → norm.

    Args:
        has_class, patch_bias, numbers: see `PatchEmbedding`.
        embed_norm: whether the embedded patches are normalised, too.
        qkv_bias: whether the queries, keys and values have biases.
        dropout: share of the values dropped where each half of a layer adds to the residual stream.
    """

    def __init__(
        self,
        config: VisionConfig,
        *,
        has_class: bool = False,
        patch_bias: bool = True,
        numbers: Callable[[int], Tensor] = in_order,
        embed_norm: bool = False,
        qkv_bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embed_patches = PatchEmbedding(
            hidden_size=config.hidden_size,
            num_channels=config.num_channels,
            image_size=config.image_size,
            patch_size=config.patch_size,
            bias=patch_bias,
            has_class=has_class,
            numbers=numbers,
        )
        self.embed_norm = LayerNorm(config.hidden_size, config.layer_norm_eps) if embed_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            encoder_layer(
                hidden_size=config.hidden_size,
                num_heads=config.num_attention_heads,
                intermediate_size=config.intermediate_size,
                activation=config.hidden_act,
                eps=config.layer_norm_eps,
                qkv_bias=qkv_bias,
                attention_dropout=config.attention_dropout,
                dropout=dropout,
            )
            for _ in range(config.num_hidden_layers)
        )
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(M, S, D) of (M, C, H, W): a vector for the picture, where the tower has one, and one for each patch."""
        x = self.dropout(self.embed_norm(self.embed_patches(pixel_values)))
        for layer in self.layers:
            x = layer(x, EVERYTHING)
        out: Tensor = self.norm(x)
        return out


def encoder_layer(
    *,
    hidden_size: int,
    num_heads: int,
    intermediate_size: int,
    activation: Activation,
    eps: float,
    qkv_bias: bool = True,
    attention_dropout: float = 0.0,
    dropout: float = 0.0,
) -> PreNormEncoderLayer:
    """A layer of a picture's tower, and of the text's beside it."""
    return PreNormEncoderLayer(
        self_attn=Attention(
            hidden_size=hidden_size,
            num_heads=num_heads,
            num_kv_heads=num_heads,
            head_dim=hidden_size // num_heads,
            qkv_bias=qkv_bias,
            o_bias=True,
            dropout=attention_dropout,
        ),
        mlp=PlainMLP(hidden_size, intermediate_size, activation=activation),
        norm=lambda: LayerNorm(hidden_size, eps),
        dropout=dropout,
    )


def draw(part: nn.Module, std: float) -> None:
    """Fresh weights of a part that reads pictures: normal; biases zero. In place."""
    for module in part.modules():
        if isinstance(module, nn.Linear | nn.Embedding | nn.Conv2d):
            nn.init.normal_(module.weight, std=std)
        if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)
        for name, weight in module.named_parameters(recurse=False):
            if name in ("class_vector", "probe"):
                nn.init.normal_(weight, std=std)


def proportional(known: dict[str, Any]) -> dict[str, Any]:
    """Settings of a tower for a new model that says none: as wide and deep as its text part, for small pictures."""
    sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "initializer_range")
    shape = {name: known[name] for name in sizes if name in known}
    return {**shape, "intermediate_size": 4 * known["hidden_size"], "image_size": 64, "patch_size": 8}
