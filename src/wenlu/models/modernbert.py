"""ModernBERT: an encoder with rotary positions, normalised before each half, most of its layers looking nearby only.

Warner et al. 2024, arXiv:2412.13663.
"""

from __future__ import annotations

import math
from typing import Any, Literal, Self

import torch.nn.functional as F
from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor, nn

from wenlu.config import Config
from wenlu.models.family import Ability, Family, Size
from wenlu.models.layers.bidirectional_attention import BidirectionalAttention
from wenlu.models.layers.encoder import CLASSIFYING, Encoder, EncoderConfig, EncoderHead, MaskedHead, Texts, Transform
from wenlu.models.layers.mask import Mask, bidirectional_mask
from wenlu.models.layers.mlp import MLP, Activation
from wenlu.models.layers.norm import LayerNorm
from wenlu.models.layers.rope import Rope, RopeConfig, rope_at
from wenlu.models.weights.heads import BaseModel, ForHeads
from wenlu.models.weights.rules import Rename, Split, Tie

Reach = Literal["full_attention", "sliding_attention"]
_THETA: dict[Reach, float] = {"full_attention": 160000.0, "sliding_attention": 10000.0}
_OLDER_THETA: dict[Reach, str] = {"full_attention": "global_rope_theta", "sliding_attention": "local_rope_theta"}


class RopeByReach(Config):
    """Rotary settings of the layers that see everything, and of those that see nearby."""

    full_attention: RopeConfig = RopeConfig(rope_theta=_THETA["full_attention"])
    sliding_attention: RopeConfig = RopeConfig(rope_theta=_THETA["sliding_attention"])


class ModernBertConfig(EncoderConfig):
    """Keys of Hugging Face's `ModernBertConfig`; those of transformers 4 are read too.

    `local_attention` is the width of the window of the layers that see nearby, both sides together.
    """

    head: EncoderHead = "masked-lm"
    hidden_act: Activation = Field(default="gelu", alias="hidden_activation")
    max_position_embeddings: Size = 8192
    layer_types: list[Reach] = Field(default_factory=lambda known: _every_third(known.get("num_hidden_layers", 0)))
    local_attention: Size = 128
    rope_parameters: RopeByReach = RopeByReach()
    norm_eps: PositiveFloat = 1e-5
    norm_bias: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    decoder_bias: bool = True
    embedding_dropout: float = Field(default=0.0, ge=0, lt=1)
    attention_dropout: float = Field(default=0.0, ge=0, lt=1)
    mlp_dropout: float = Field(default=0.0, ge=0, lt=1)
    classifier_activation: Activation = "gelu"
    classifier_bias: bool = False
    classifier_dropout: float = Field(default=0.0, ge=0, lt=1)
    classifier_pooling: Literal["cls", "mean"] = "cls"
    pad_token_id: int | None = 0
    cls_token_id: int | None = None
    sep_token_id: int | None = None

    @property
    def head_dropout(self) -> float:
        return self.classifier_dropout

    @model_validator(mode="before")
    @classmethod
    def _older_spellings(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        older = {"global_attn_every_n_layers", *_OLDER_THETA.values()}
        rest = {key: value for key, value in data.items() if key not in older}
        layers, period = rest.get("num_hidden_layers"), data.get("global_attn_every_n_layers", 3)
        if rest.get("layer_types") is None and isinstance(layers, int):
            if not isinstance(period, int) or period < 1:
                raise ValueError(f"global_attn_every_n_layers must be a positive number, not {period!r}")
            rest["layer_types"] = _every_third(layers, period)
        given = rest.get("rope_parameters") or {}
        if isinstance(given, dict):
            thetas = {reach: data.get(_OLDER_THETA[reach], theta) for reach, theta in _THETA.items()}
            rest["rope_parameters"] = given | {
                reach: {"rope_theta": theta, **rope}
                for reach, theta in thetas.items()
                if isinstance(rope := given.get(reach) or {}, dict)
            }
        return rest

    @model_validator(mode="after")
    def _layers_fit(self) -> Self:
        if len(self.layer_types) != self.num_hidden_layers:
            raise ValueError(f"layer_types names {len(self.layer_types)} layers of {self.num_hidden_layers}")
        if self.hidden_size // self.num_attention_heads % 2:
            raise ValueError("hidden_size / num_attention_heads is odd; rotary positions turn pairs")
        return self


def _every_third(num_layers: int, period: int = 3) -> list[Reach]:
    return ["sliding_attention" if index % period else "full_attention" for index in range(min(num_layers, 1000))]


class GatedMLP(MLP):
    """GeGLU (Shazeer 2020, arXiv:2002.05202), its inner values dropped at random in training."""

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__(
            config.hidden_size, config.intermediate_size, activation=config.hidden_act, bias=config.mlp_bias
        )
        self.dropout = nn.Dropout(config.mlp_dropout)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(self.dropout(self.activation(self.gate_proj(x)) * self.up_proj(x)))
        return out


class Block(nn.Module):
    """One layer; both halves read a normalised copy, which of the first layer the embedding's norm has made."""

    def __init__(self, config: ModernBertConfig, *, is_first: bool) -> None:
        super().__init__()
        self.attention_norm = nn.Identity() if is_first else _norm(config)
        self.self_attn = BidirectionalAttention(
            hidden_size=config.hidden_size,
            num_heads=config.num_attention_heads,
            bias=config.attention_bias,
            dropout=config.attention_dropout,
        )
        self.mlp_norm = _norm(config)
        self.mlp = GatedMLP(config)
        self.dropout = nn.Dropout(config.attention_dropout)

    def forward(self, x: Tensor, mask: Mask, rope: Rope) -> Tensor:
        x = x + self.dropout(self.self_attn(self.attention_norm(x), mask, rope))
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out


def _norm(config: ModernBertConfig) -> LayerNorm:
    return LayerNorm(config.hidden_size, config.norm_eps, bias=config.norm_bias)


class ModernBert(Encoder):
    config: ModernBertConfig

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.embed_norm = _norm(config)
        self.dropout = nn.Dropout(config.embedding_dropout)
        self.layers = nn.ModuleList(Block(config, is_first=i == 0) for i in range(config.num_hidden_layers))
        self.norm = _norm(config)
        self.transform = self._transform() if config.head in CLASSIFYING else None
        if config.head == "masked-lm":
            self.lm_head = MaskedHead(self._transform(), config.vocab_size, bias=config.decoder_bias)
        self.finish()

    def _transform(self) -> Transform:
        config = self.config
        return Transform(config.hidden_size, config.classifier_activation, _norm(config), bias=config.classifier_bias)

    def finish(self) -> None:
        """What writes to the residual stream starts smaller, by the number of layers."""
        super().finish()
        small = self.config.initializer_range / math.sqrt(2 * self.config.num_hidden_layers)
        for name, module in self.named_modules():
            if name.rpartition(".")[2] in ("o_proj", "down_proj", "dense") and isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=small)
        if self.classifier is not None:
            nn.init.normal_(self.classifier.weight, std=self.config.hidden_size**-0.5)

    def encode(self, texts: Texts) -> Tensor:
        x = self.dropout(self.embed_norm(self.embed_tokens(texts.input_ids)))
        ropes, nearby = self.config.rope_parameters, self.config.local_attention // 2
        views = {
            "full_attention": self._view(x, texts, ropes.full_attention, window=None),
            "sliding_attention": self._view(x, texts, ropes.sliding_attention, window=nearby),
        }
        for layer, reach in zip(self.layers, self.config.layer_types, strict=True):
            x = layer(x, *views[reach])
        out: Tensor = self.norm(x)
        return out

    def _view(self, x: Tensor, texts: Texts, rope: RopeConfig, *, window: int | None) -> tuple[Mask, Rope]:
        head_dim = self.config.hidden_size // self.config.num_attention_heads
        mask = bidirectional_mask(x, attention_mask=texts.attention_mask, segments=texts.segments, window=window)
        return mask, rope_at(texts.positions, rope, head_dim=head_dim, dtype=x.dtype)

    def pooled(self, hidden: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """(B, D): the first token's hidden state or the mean of all, as `classifier_pooling` says."""
        if self.config.classifier_pooling == "cls":
            return self.transformed(super().pooled(hidden, attention_mask))
        if attention_mask is None:
            return self.transformed(hidden.mean(dim=1))
        weights = F.normalize(attention_mask.to(hidden.dtype), p=1, dim=1)  # (B, T), sum 1
        return self.transformed((weights[:, :, None] * hidden).sum(dim=1))

    def transformed(self, hidden: Tensor) -> Tensor:
        out: Tensor = hidden if self.transform is None else self.transform(hidden)
        return out


FAMILY = Family(
    name="modernbert",
    hf_types=("modernbert",),
    heads={
        "masked-lm": "ModernBertForMaskedLM",
        "none": "ModernBertModel",
        "sequence-classification": "ModernBertForSequenceClassification",
        "token-classification": "ModernBertForTokenClassification",
        "question-answering": "ModernBertForQuestionAnswering",
    },
    reference="modernbert",
    abilities=frozenset({Ability.MASKED}),
    config=ModernBertConfig,
    model=ModernBert,
    proportions={
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
    },
    rules=(
        BaseModel("model", ("embeddings", "layers", "final_norm")),
        Rename("embeddings.tok_embeddings.weight", "embed_tokens.weight"),
        Rename("embeddings.norm.{kind}", "embed_norm.{kind}"),
        Rename("layers.{i}.attn_norm.{kind}", "layers.{i}.attention_norm.{kind}"),
        Split(
            "layers.{i}.attn.Wqkv.{kind}",
            (
                "layers.{i}.self_attn.q_proj.{kind}",
                "layers.{i}.self_attn.k_proj.{kind}",
                "layers.{i}.self_attn.v_proj.{kind}",
            ),
        ),
        Rename("layers.{i}.attn.Wo.{kind}", "layers.{i}.self_attn.o_proj.{kind}"),
        Split("layers.{i}.mlp.Wi.{kind}", ("layers.{i}.mlp.gate_proj.{kind}", "layers.{i}.mlp.up_proj.{kind}")),
        Rename("layers.{i}.mlp.Wo.{kind}", "layers.{i}.mlp.down_proj.{kind}"),
        Rename("final_norm.{kind}", "norm.{kind}"),
        ForHeads(("masked-lm",), Rename("head.{rest}", "lm_head.transform.{rest}")),
        ForHeads(CLASSIFYING, Rename("head.{rest}", "transform.{rest}")),
        Rename("decoder.{kind}", "lm_head.decoder.{kind}"),
        ForHeads(("masked-lm",), Tie("lm_head.decoder.weight", "embed_tokens.weight", when="tie_word_embeddings")),
    ),
    harmless=frozenset(
        {
            "deterministic_flash_attn",
            "gradient_checkpointing",
            "initializer_cutoff_factor",
            "layer_norm_eps",
            "position_embedding_type",
            "reference_compile",
            "repad_logits_with_grad",
            "sparse_pred_ignore_index",
            "sparse_prediction",
        }
    ),
)
