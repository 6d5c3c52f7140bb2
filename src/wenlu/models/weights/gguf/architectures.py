"""The architectures of GGUF that are read and written, one row each."""

from __future__ import annotations

from typing import Any

from wenlu.errors import WeightsError
from wenlu.models.weights.gguf.architecture import AddOne, Architecture, Interleave, Keys, Settings
from wenlu.models.weights.gguf.rope import read_longrope, read_rope, write_longrope, write_rope
from wenlu.models.weights.rules import Entries, Rename, Split, Tie

_SIZES = {
    "vocab_size": "vocab_size",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
}
_GROUPED = _SIZES | {
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}

_EMBEDDING = (
    Rename("token_embd.{rest}", "embed_tokens.{rest}"),
    Rename("output_norm.{rest}", "norm.{rest}"),
    Rename("output.{rest}", "lm_head.{rest}"),
    Tie("lm_head.weight", "embed_tokens.weight", when="tie_word_embeddings"),
)
_HEADS = ("q", "k", "v")
_ATTENTION = (
    *(Rename(f"blk.{{layer}}.attn_{x}.{{rest}}", f"layers.{{layer}}.self_attn.{x}_proj.{{rest}}") for x in _HEADS),
    Rename("blk.{layer}.attn_output.{rest}", "layers.{layer}.self_attn.o_proj.{rest}"),
)
_HEAD_NORMS = (
    Rename("blk.{layer}.attn_q_norm.{rest}", "layers.{layer}.self_attn.q_norm.{rest}"),
    Rename("blk.{layer}.attn_k_norm.{rest}", "layers.{layer}.self_attn.k_norm.{rest}"),
)
_FEED_FORWARD = (
    Rename("blk.{layer}.ffn_up.{rest}", "layers.{layer}.mlp.up_proj.{rest}"),
    Rename("blk.{layer}.ffn_down.{rest}", "layers.{layer}.mlp.down_proj.{rest}"),
)
_GATED = (Rename("blk.{layer}.ffn_gate.{rest}", "layers.{layer}.mlp.gate_proj.{rest}"), *_FEED_FORWARD)
_PRE_NORM = (
    Rename("blk.{layer}.attn_norm.{rest}", "layers.{layer}.input_layernorm.{rest}"),
    Rename("blk.{layer}.ffn_norm.{rest}", "layers.{layer}.post_attention_layernorm.{rest}"),
)
_NEIGHBOURS_TURN = (
    Interleave("blk.{layer}.attn_q.{rest}", "num_attention_heads"),
    Interleave("blk.{layer}.attn_k.{rest}", "num_key_value_heads"),
)
_LLAMA = (*_NEIGHBOURS_TURN, *_ATTENTION, *_GATED, *_PRE_NORM, *_EMBEDDING)


def _read_decoder(keys: Keys, tensors: Entries, settings: Settings) -> Settings:
    """Heads, rotary positions and the tied head, as the families of Llama's kind share them."""
    head_dim = _head_dim(keys, settings)
    return {
        "head_dim": head_dim,
        "rope_parameters": read_rope(keys, tensors, head_dim),
        "tie_word_embeddings": "output.weight" not in tensors,
    }


def _write_decoder(config: Any) -> tuple[Settings, Entries]:
    keys, tensors = write_rope(config.rope_parameters, config.head_dim)
    return {**keys, **_head_keys(config.head_dim)}, tensors


def _head_keys(head_dim: int) -> Settings:
    return {"attention.key_length": head_dim, "attention.value_length": head_dim}


def _head_dim(keys: Keys, settings: Settings) -> int:
    key, value = keys.number("attention.key_length"), keys.number("attention.value_length")
    if key is None:
        hidden, heads = settings.get("hidden_size"), settings.get("num_attention_heads")
        if not (isinstance(hidden, int) and isinstance(heads, int) and heads > 0):
            return 0  # the config's own check says which of the two is wrong
        key = hidden // heads
    if value not in (None, key):
        keys.refuse("attention.value_length", value, f"differs from the key's length, {key}")
    return int(key)


def _read_llama(keys: Keys, tensors: Entries, settings: Settings) -> Settings:
    return {
        **_read_decoder(keys, tensors, settings),
        "attention_bias": "blk.0.attn_q.bias" in tensors,
        "mlp_bias": "blk.0.ffn_up.bias" in tensors,
    }


def _write_mistral(config: Any) -> tuple[Settings, Entries]:
    """As Llama: GGUF knows no window of it, which has no effect where the context fits into it."""
    if config.sliding_window is not None and config.sliding_window < config.max_position_embeddings:
        raise WeightsError(
            f"sliding_window {config.sliding_window} is below the context of {config.max_position_embeddings}: "
            "the form that GGUF has for Mistral has no window"
        )
    return _write_decoder(config)


def _read_qwen3(keys: Keys, tensors: Entries, settings: Settings) -> Settings:
    return {**_read_decoder(keys, tensors, settings), "attention_bias": "blk.0.attn_q.bias" in tensors}


def _read_phi3(keys: Keys, tensors: Entries, settings: Settings) -> Settings:
    head_dim = _head_dim(keys, settings)
    original = keys.number("rope.scaling.original_context_length") or settings.get("max_position_embeddings")
    return {
        "head_dim": head_dim,
        "rope_parameters": read_longrope(keys, tensors, head_dim),
        "original_max_position_embeddings": original,
        "sliding_window": keys.take("attention.sliding_window") or None,
        "tie_word_embeddings": "output.weight" not in tensors,
    }


def _write_phi3(config: Any) -> tuple[Settings, Entries]:
    original = config.original_max_position_embeddings
    keys, tensors = write_longrope(
        config.rope_parameters, config.head_dim, original=original, context=config.max_position_embeddings
    )
    return {
        **keys,
        **_head_keys(config.head_dim),
        "rope.scaling.original_context_length": original,
        "attention.sliding_window": config.sliding_window or 0,
    }, tensors


def _phi3_heads(config: Any) -> tuple[int, int, int]:
    keys = config.num_key_value_heads * config.head_dim
    return config.num_attention_heads * config.head_dim, keys, keys


_PERIOD = 6
"""Of Gemma 3, where a file does not say: each sixth layer sees everything."""


def _read_gemma3(keys: Keys, tensors: Entries, settings: Settings) -> Settings:
    decoder = _read_decoder(keys, tensors, settings)
    head_dim, layers = decoder["head_dim"], settings.get("num_hidden_layers")
    local = keys.number("rope.freq_base_swa") or 10000.0
    pattern = keys.left.pop("attention.sliding_window_pattern", _PERIOD)
    layers = layers if isinstance(layers, int) and 0 < layers <= 1000 else 0  # else the config's own check refuses
    if isinstance(pattern, int) and pattern > 0:
        pattern = [(index + 1) % pattern != 0 for index in range(layers)]
    if not isinstance(pattern, list):
        keys.refuse("attention.sliding_window_pattern", pattern, "a period or one value a layer is expected")
    return {
        **decoder,
        "rope_parameters": {
            "full_attention": decoder["rope_parameters"],
            "sliding_attention": {"rope_theta": float(local)},
        },
        "layer_types": ["sliding_attention" if each else "full_attention" for each in pattern],
        "query_pre_attn_scalar": _gemma3_scale(layers, settings, head_dim),
    }


def _write_gemma3(config: Any) -> tuple[Settings, Entries]:
    settings = {"hidden_size": config.hidden_size, "num_attention_heads": config.num_attention_heads}
    scale = _gemma3_scale(config.num_hidden_layers, settings, config.head_dim)
    if config.query_pre_attn_scalar != scale:
        raise WeightsError(
            f"query_pre_attn_scalar is {config.query_pre_attn_scalar}: GGUF has no place for it and means {scale}"
        )
    local = config.rope_parameters.sliding_attention
    if local.rope_type != "default":
        raise WeightsError(f"rope_type {local.rope_type!r} of local layers has no form in GGUF")
    keys, tensors = write_rope(config.rope_parameters.full_attention, config.head_dim)
    return {
        **keys,
        **_head_keys(config.head_dim),
        "rope.freq_base_swa": local.rope_theta,
        "attention.sliding_window_pattern": [each == "sliding_attention" for each in config.layer_types],
    }, tensors


def _gemma3_scale(num_layers: int, settings: Settings, head_dim: int) -> int:
    """Scores are divided by its root: the head's size, but by width a head in the model of 62 layers (27B)."""
    return int(settings["hidden_size"]) // int(settings["num_attention_heads"]) if num_layers == 62 else head_dim


def _read_gpt2(keys: Keys, tensors: Entries, settings: Settings) -> Settings:
    heads, key_heads = settings.get("num_attention_heads"), keys.take("attention.head_count_kv")
    if key_heads not in (None, heads):
        keys.refuse("attention.head_count_kv", key_heads, f"GPT-2 has as many as queries, {heads}")
    return {"tie_word_embeddings": "output.weight" not in tensors}


def _write_gpt2(config: Any) -> tuple[Settings, Entries]:  # noqa: ARG001
    return {}, {}


_SILU: Settings = {"hidden_act": "silu"}

ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture(
        name="llama",
        family="llama",
        keys=_GROUPED,
        fixed=_SILU,
        rules=_LLAMA,
        read=_read_llama,
        write=_write_decoder,
        harmless=frozenset({"tensor_data_layout"}),
    ),
    Architecture(  # written only: such a file is read as a Llama, which it is
        name="llama",
        family="mistral",
        keys=_GROUPED,
        fixed=_SILU,
        rules=_LLAMA,
        read=_read_llama,
        write=_write_mistral,
    ),
    Architecture(
        name="qwen2",
        family="qwen2",
        keys=_GROUPED,
        fixed=_SILU | {"use_sliding_window": False},
        rules=(*_ATTENTION, *_GATED, *_PRE_NORM, *_EMBEDDING),
        read=_read_decoder,
        write=_write_decoder,
    ),
    Architecture(
        name="qwen3",
        family="qwen3",
        keys=_GROUPED,
        fixed=_SILU | {"use_sliding_window": False},
        rules=(*_ATTENTION, *_HEAD_NORMS, *_GATED, *_PRE_NORM, *_EMBEDDING),
        read=_read_qwen3,
        write=_write_decoder,
    ),
    Architecture(
        name="phi3",
        family="phi3",
        keys=_GROUPED,
        fixed=_SILU,
        rules=(
            Split(
                "blk.{layer}.attn_qkv.weight",
                tuple(f"blk.{{layer}}.attn_{x}.weight" for x in _HEADS),
                sizes=_phi3_heads,
            ),
            Split("blk.{layer}.ffn_up.weight", ("blk.{layer}.ffn_gate.weight", "blk.{layer}.ffn_up.weight")),
            *_ATTENTION,
            *_GATED,
            *_PRE_NORM,
            *_EMBEDDING,
        ),
        read=_read_phi3,
        write=_write_phi3,
    ),
    Architecture(
        name="gemma3",
        family="gemma3",
        keys=_GROUPED
        | {"attention.sliding_window": "sliding_window", "final_logit_softcapping": "final_logit_softcapping"},
        fixed={"hidden_act": "gelu_pytorch_tanh", "attention_bias": False, "attn_logit_softcapping": None},
        rules=(
            AddOne("output_norm.weight"),
            AddOne("blk.{layer}.attn_norm.weight"),
            AddOne("blk.{layer}.ffn_norm.weight"),
            AddOne("blk.{layer}.attn_q_norm.weight"),
            AddOne("blk.{layer}.attn_k_norm.weight"),
            AddOne("blk.{layer}.post_attention_norm.weight"),
            AddOne("blk.{layer}.post_ffw_norm.weight"),
            *_ATTENTION,
            *_HEAD_NORMS,
            *_GATED,
            Rename("blk.{layer}.attn_norm.{rest}", "layers.{layer}.input_layernorm.{rest}"),
            Rename("blk.{layer}.ffn_norm.{rest}", "layers.{layer}.pre_feedforward_layernorm.{rest}"),
            Rename("blk.{layer}.post_attention_norm.{rest}", "layers.{layer}.post_attention_layernorm.{rest}"),
            Rename("blk.{layer}.post_ffw_norm.{rest}", "layers.{layer}.post_feedforward_layernorm.{rest}"),
            *_EMBEDDING,
        ),
        read=_read_gemma3,
        write=_write_gemma3,
    ),
    Architecture(
        name="gpt2",
        family="gpt2",
        keys=_SIZES | {"attention.layer_norm_epsilon": "layer_norm_eps"},
        fixed={"hidden_act": "gelu_new", "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False},
        rules=(
            Split(
                "blk.{layer}.attn_qkv.{kind}",
                tuple(f"layers.{{layer}}.self_attn.{x}_proj.{{kind}}" for x in _HEADS),
            ),
            Rename("blk.{layer}.attn_output.{rest}", "layers.{layer}.self_attn.o_proj.{rest}"),
            *_FEED_FORWARD,
            *_PRE_NORM,
            Rename("position_embd.{rest}", "embed_positions.{rest}"),
            *_EMBEDDING,
        ),
        read=_read_gpt2,
        write=_write_gpt2,
    ),
)
