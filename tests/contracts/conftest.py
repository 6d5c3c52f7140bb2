"""A tiny model of every family, for the contract tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from wenlu.models import Family, ImageEncoder, ImageFamily, LanguageModel

VOCAB = 31
TOWER = {
    "hidden_size": 20,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 5,
    "image_size": 16,
    "patch_size": 4,
    "initializer_range": 0.3,
}
"""What reads pictures."""
SETTINGS: dict[str, dict[str, Any]] = {
    "llama": {
        "hidden_size": 24,
        "intermediate_size": 20,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "initializer_range": 0.3,
    },
    "bert": {
        "hidden_size": 20,
        "intermediate_size": 28,
        "num_hidden_layers": 2,
        "num_attention_heads": 5,
        "max_position_embeddings": 40,
        "initializer_range": 0.3,
    },
    "roberta": {
        "hidden_size": 20,
        "intermediate_size": 28,
        "num_hidden_layers": 2,
        "num_attention_heads": 5,
        "max_position_embeddings": 40,
        "initializer_range": 0.3,
    },
    "distilbert": {
        "hidden_size": 18,
        "intermediate_size": 22,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "max_position_embeddings": 40,
        "initializer_range": 0.3,
    },
    "modernbert": {
        "hidden_size": 24,
        "intermediate_size": 20,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "local_attention": 6,
        "global_attn_every_n_layers": 2,
        "initializer_range": 0.6,
    },
    "gpt2": {
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
    },
    "mistral": {
        "hidden_size": 24,
        "intermediate_size": 20,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "num_key_value_heads": 1,
        "sliding_window": 3,
        "initializer_range": 0.3,
    },
    "qwen2": {
        "hidden_size": 24,
        "intermediate_size": 20,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "use_sliding_window": True,
        "sliding_window": 3,
        "max_window_layers": 1,
        "initializer_range": 0.3,
    },
    "qwen3": {
        "hidden_size": 24,
        "intermediate_size": 20,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 10,
        "initializer_range": 0.3,
    },
    "gemma3": {
        "hidden_size": 24,
        "intermediate_size": 20,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 10,
        "query_pre_attn_scalar": 7,
        "sliding_window": 3,
        "sliding_window_pattern": 2,
        "attn_logit_softcapping": 4.0,
        "final_logit_softcapping": 3.0,
        "initializer_range": 0.3,
    },
    "phi3": {
        "hidden_size": 32,
        "intermediate_size": 20,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "sliding_window": 4,
        "rope_parameters": {"partial_rotary_factor": 0.5},
        "initializer_range": 0.3,
    },
    "t5": {
        "hidden_size": 20,
        "head_dim": 6,
        "intermediate_size": 28,
        "num_hidden_layers": 2,
        "num_decoder_layers": 3,
        "num_attention_heads": 3,
        "relative_attention_num_buckets": 6,
        "relative_attention_max_distance": 9,
    },
    "mt5": {
        "hidden_size": 20,
        "head_dim": 6,
        "intermediate_size": 28,
        "num_hidden_layers": 3,
        "num_decoder_layers": 2,
        "num_attention_heads": 3,
        "relative_attention_num_buckets": 8,
        "relative_attention_max_distance": 12,
    },
    "bart": {
        "hidden_size": 24,
        "intermediate_size": 28,
        "decoder_intermediate_size": 20,
        "num_hidden_layers": 2,
        "num_decoder_layers": 3,
        "num_attention_heads": 3,
        "decoder_attention_heads": 4,
        "max_position_embeddings": 40,
        "initializer_range": 0.3,
    },
    "marian": {
        "hidden_size": 24,
        "intermediate_size": 28,
        "decoder_intermediate_size": 20,
        "num_hidden_layers": 3,
        "num_decoder_layers": 2,
        "num_attention_heads": 4,
        "decoder_attention_heads": 3,
        "max_position_embeddings": 40,
        "hidden_act": "swish",
        "initializer_range": 0.3,
    },
    "transformer": {
        "hidden_size": 21,
        "intermediate_size": 28,
        "num_hidden_layers": 2,
        "num_decoder_layers": 3,
        "num_attention_heads": 3,
        "max_position_embeddings": 40,
        "initializer_range": 0.3,
    },
    "lstm_encoder_decoder": {
        "hidden_size": 12,
        "embedding_size": 10,
        "attention_size": 7,
        "num_hidden_layers": 1,
        "num_decoder_layers": 2,
        "dropout": 0.2,
        "initializer_range": 0.5,
    },
    "clip": {
        "hidden_size": 24,
        "intermediate_size": 28,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "max_position_embeddings": 40,
        "eos_token_id": 30,
        "projection_dim": 14,
        "vision_config": TOWER,
        "initializer_range": 0.3,
    },
    "siglip": {
        "hidden_size": 24,
        "intermediate_size": 28,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "max_position_embeddings": 40,
        "vision_config": TOWER,
        "initializer_range": 0.3,
    },
    "smolvlm": {
        "hidden_size": 24,
        "intermediate_size": 20,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "image_token_id": 35,
        "vision_config": TOWER,
        "initializer_range": 0.3,
    },
    "rnn": {"hidden_size": 12, "num_hidden_layers": 2},
    "lstm": {"hidden_size": 12, "num_hidden_layers": 2, "embedding_size": 8, "tie_word_embeddings": True},
    "gru": {"hidden_size": 12, "num_hidden_layers": 2, "embedding_size": 8},
}
"""Enough layers and heads that a mistake shows; weights large enough that every position matters."""

Tiny = Callable[..., LanguageModel]


@pytest.fixture
def tiny() -> Tiny:
    """`tiny(family, dtype=torch.float64, **settings)`: a model in evaluation mode."""

    def build(family: Family, dtype: torch.dtype = torch.float64, **settings: Any) -> LanguageModel:
        config = family.config(**{"vocab_size": VOCAB, **SETTINGS[family.name], **settings})
        return family.build(config, dtype=dtype).eval()

    return build


@pytest.fixture
def tiny_encoder() -> Callable[..., ImageEncoder]:
    """As `tiny`, of a family that reads pictures alone."""

    def build(family: ImageFamily, dtype: torch.dtype = torch.float64, **settings: Any) -> ImageEncoder:
        return family.build(family.config(**{**TOWER, **settings}), dtype=dtype).eval()

    return build
