"""A decoder as one native call a step, where its architecture and this machine allow it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wenlu.kernels.decoder import (
    GROUP,
    LANES,
    MOST_HEAD,
    PART,
    LayerWeights,
    NativeDecoder,
    Packed,
    pack_codes,
    pack_plain,
)
from wenlu.kernels.native import why_not
from wenlu.kernels.quantised import nearest_codes
from wenlu.models.family import LanguageModel
from wenlu.models.layers.attention import Attention
from wenlu.models.layers.decoder import Block, Decoder, GroupedDecoderConfig, View
from wenlu.models.layers.linear import Linear
from wenlu.models.layers.mlp import MLP
from wenlu.models.layers.norm import RMSNorm, ZeroCentredRMSNorm
from wenlu.models.layers.rope import rope_at
from wenlu.models.quantised.linear import QuantisedLinear

Weights = Literal["float32", "bfloat16", "int8", "int4"]
"""What plain weights are packed as; codes stay codes. With int4 the head is of eight bits, as in GGUF files."""

_STATIC = ("default", "linear", "yarn", "llama3")
"""Rotary positions whose angles depend on the position alone."""


def why_not_native(model: LanguageModel) -> str | None:
    """Why a model runs as torch runs it; None where the native call does the same."""
    if reason := why_not(PART):
        return reason
    config = model.config
    if not isinstance(model, Decoder) or not isinstance(config, GroupedDecoderConfig):
        return f"{type(model).__name__} is not built as Llama is"
    weight = model.embed_tokens.weight
    if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.bfloat16):
        return f"its weights are {str(weight.dtype).removeprefix('torch.')} on {weight.device}"
    if config.head_dim % LANES or config.head_dim > MOST_HEAD:
        return f"its heads have {config.head_dim} numbers, not a multiple of {LANES} up to {MOST_HEAD}"
    for view in model.views:
        if view.rope is not None and view.rope.rope_type not in _STATIC:
            return f"its rotary positions are {view.rope.rope_type!r}, which depend on the length of the text"
    faults = (fault for layer in model.layers if (fault := _fault(layer)))
    fault = next(faults, None)
    if fault is None and type(model.norm) not in _NORMS:
        fault = type(model.norm).__name__
    if fault is None and type(model.lm_head) not in (nn.Linear, Linear, QuantisedLinear):
        fault = type(model.lm_head).__name__
    return None if fault is None else f"it has a part that the native call does not know: {fault}"


def packed_decoder(model: LanguageModel, weights: Weights) -> NativeDecoder:
    """As `native_decoder`, packed again only where the model's weights are no longer those of the last time."""
    mark = (weights, _sampled(model))
    kept = _PACKED.get(model)
    if kept is None or kept[0] != mark:
        kept = _PACKED[model] = (mark, native_decoder(model, weights))
    return kept[1]


_PACKED: WeakKeyDictionary[nn.Module, tuple[tuple[Weights, bytes], NativeDecoder]] = WeakKeyDictionary()


def _sampled(model: nn.Module) -> bytes:
    """Some numbers of each tensor, all of which a step of training changes."""
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        flat = tensor.detach().flatten()
        digest.update(flat[:: max(1, len(flat) // 64)].contiguous().view(torch.uint8).numpy().tobytes())
    return digest.digest()


def native_decoder(model: LanguageModel, weights: Weights) -> NativeDecoder:
    """The model's weights packed for the native call, for a model of which `why_not_native` says nothing.

    The pages of keys and values are given afterwards, with `use_pages`.
    """
    config = model.config
    assert isinstance(model, Decoder), why_not_native(model)
    assert isinstance(config, GroupedDecoderConfig), why_not_native(model)
    turns = {view: _turns(view, config) for view in dict.fromkeys(model.views)}
    layers = [_layer(layer, view, turns[view], weights) for layer, view in zip(model.layers, model.views, strict=True)]
    first = model.layers[0]
    assert isinstance(first, Block)
    scale = first.self_attn.scale
    ropes = {view.rope.rotary_size(config.head_dim) for view in model.views if view.rope is not None}
    assert len(ropes) <= 1, "all layers turn as many numbers"
    return NativeDecoder(
        layers,
        last_norm=_norm(model.norm),
        head=_packed([model.lm_head], "int8" if weights == "int4" else weights),
        num_heads=config.num_attention_heads,
        num_kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        turned=ropes.pop() if ropes else 0,
        eps=config.rms_norm_eps,
        scale=config.head_dim**-0.5 if scale is None else scale,
    )


_NORMS = (RMSNorm, ZeroCentredRMSNorm)


def _layer(layer: nn.Module, view: View, turns: Tensor | None, weights: Weights) -> LayerWeights:
    assert isinstance(layer, Block)
    attention, mlp = layer.self_attn, layer.mlp
    assert isinstance(mlp, MLP)
    return LayerWeights(
        qkv=_packed([attention.q_proj, attention.k_proj, attention.v_proj], weights),
        out=_packed([attention.o_proj], weights),
        gate=_packed([mlp.gate_proj], weights, beside=[mlp.up_proj]),
        up=_packed([mlp.up_proj], weights, beside=[mlp.gate_proj]),
        down=_packed([mlp.down_proj], weights),
        attention_norm=_norm(layer.input_layernorm),
        mlp_norm=_norm(layer.post_attention_layernorm),
        q_norm=None if isinstance(attention.q_norm, nn.Identity) else _norm(attention.q_norm),
        k_norm=None if isinstance(attention.k_norm, nn.Identity) else _norm(attention.k_norm),
        turns=turns,
        window=view.window,
    )


def _fault(layer: nn.Module) -> str | None:
    """The name of a part of a layer that the native call does not know."""
    if type(layer) is not Block:
        return type(layer).__name__
    attention, mlp = layer.self_attn, layer.mlp
    if type(attention) is not Attention or attention.softcap is not None:
        return "attention"
    if type(mlp) is not MLP or mlp.activation is not F.silu:
        return "the feed-forward"
    assert isinstance(mlp, MLP)
    maps = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
    if fault := next(filter(None, map(_fault_of_map, (*maps, mlp.gate_proj, mlp.up_proj, mlp.down_proj))), None):
        return fault
    norms = [layer.input_layernorm, layer.post_attention_layernorm, attention.q_norm, attention.k_norm]
    return next((type(each).__name__ for each in norms if type(each) not in (*_NORMS, nn.Identity)), None)


def _fault_of_map(each: nn.Module) -> str | None:
    if isinstance(each, QuantisedLinear):
        group, bits = each.config.group_of(each.in_features), each.config.activation_bits
        fits = (group % GROUP == 0 or group == each.in_features) and bits is None
        return None if fits else f"codes of {each.config!r}"
    return None if type(each) is Linear else type(each).__name__


def _packed(maps: Sequence[nn.Module], weights: Weights, *, beside: Sequence[nn.Module] = ()) -> Packed:
    """Maps of one input below each other; codes stay where those `beside` them read it rounded in the same way."""
    biases = [each.bias if isinstance(each.bias, Tensor) else None for each in maps]
    quantised = [each for each in maps if isinstance(each, QuantisedLinear)]
    alike = {each.config if isinstance(each, QuantisedLinear) else None for each in (*maps, *beside)}
    if len(quantised) == len(maps) and len(alike) == 1:
        codes = [each.stored for each in quantised]
    else:
        plain = [_weight(each) for each in maps]
        if weights in ("float32", "bfloat16"):
            return pack_plain(plain, biases, torch.float32 if weights == "float32" else torch.bfloat16)
        codes = [nearest_codes(each, 8 if weights == "int8" else 4) for each in plain]
    return pack_codes(codes, biases)


def _weight(each: nn.Module) -> Tensor:
    if isinstance(each, QuantisedLinear):
        return each.dequantised()
    assert isinstance(each, nn.Linear)
    return each.weight


def _norm(norm: nn.Module) -> Tensor:
    assert isinstance(norm, RMSNorm | ZeroCentredRMSNorm)
    weight = norm.weight.detach().float()
    return (1 + weight if isinstance(norm, ZeroCentredRMSNorm) else weight).contiguous()


def _turns(view: View, config: GroupedDecoderConfig) -> Tensor | None:
    if view.rope is None:
        return None
    context = config.max_position_embeddings
    rope = rope_at(
        torch.arange(context)[None], view.rope, head_dim=config.head_dim, dtype=torch.float32, context=context
    )
    return torch.cat((rope.cos, rope.sin), dim=-1).view(context, -1)
