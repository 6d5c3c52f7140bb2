"""Rotary positions as GGUF tells them: keys `rope.*`, and Llama 3's divisors as a tensor."""

from __future__ import annotations

import math

import torch

from wenlu.errors import WeightsError
from wenlu.models.layers.rope import RopeConfig, frequencies
from wenlu.models.weights.gguf.architecture import Keys, Settings
from wenlu.models.weights.rules import Entries, Stored

DIVISORS = "rope_freqs.weight"
_LONGROPE = {"short_factor": "rope_factors_short.weight", "long_factor": "rope_factors_long.weight"}
_TRAINED_LENGTHS = tuple(2**power for power in range(4, 21))


def read_rope(keys: Keys, tensors: Entries, head_dim: int) -> Settings:
    """The `rope_parameters` of a config; takes its keys and its tensor; raises WeightsError for an unknown scaling."""
    turned = keys.take("rope.dimension_count")
    if turned not in (None, head_dim):
        keys.refuse("rope.dimension_count", turned, f"only whole heads, of {head_dim}, are turned")
    return _read_scaling(keys, tensors, head_dim)


def read_longrope(keys: Keys, tensors: Entries, head_dim: int) -> Settings:
    """As `read_rope`, where a share of each head may be turned, by two lists of divisors (LongRoPE)."""
    turned = keys.number("rope.dimension_count") or head_dim
    share = {"partial_rotary_factor": turned / max(head_dim, 1)}
    lists = {name: tensors.pop(key, None) for name, key in _LONGROPE.items()}
    if not any(lists.values()):
        return share | _read_scaling(keys, tensors, head_dim)
    missing = [key for name, key in _LONGROPE.items() if lists[name] is None]
    if missing:
        raise WeightsError(f"{missing[0]} is missing, although its fellow is there")
    keys.take("rope.scaling.type")
    return {
        **share,
        "rope_type": "longrope",
        "rope_theta": float(keys.number("rope.freq_base") or 10000.0),
        "attention_factor": keys.number("rope.scaling.attn_factor"),
        **{name: tuple(item.read().float().flatten().tolist()) for name, item in lists.items() if item is not None},
    }


def _read_scaling(keys: Keys, tensors: Entries, head_dim: int) -> Settings:
    plain: Settings = {"rope_theta": float(keys.number("rope.freq_base") or 10000.0)}
    kind = keys.take("rope.scaling.type") or "none"
    factor = keys.number("rope.scaling.factor") or keys.number("rope.scale_linear")
    keys.take("rope.scaling.finetuned")
    divisors = tensors.pop(DIVISORS, None)
    if divisors is not None:
        return plain | _llama3(divisors, plain["rope_theta"], head_dim)
    if kind == "linear" or (kind == "none" and factor not in (None, 1.0)):
        return {**plain, "rope_type": "linear", "factor": factor}
    if kind == "yarn":
        original = keys.number("rope.scaling.original_context_length")
        betas = {name: keys.number(f"rope.scaling.yarn_{name}") for name in ("beta_fast", "beta_slow")}
        given = {name: value for name, value in betas.items() if value is not None}
        return {**plain, "rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original, **given}
    keys.take("rope.scaling.original_context_length")  # of yarn alone
    if kind != "none":
        keys.refuse("rope.scaling.type", kind, "known: none, linear, yarn")
    return {**plain, "rope_type": "default"}


def write_rope(rope: RopeConfig, head_dim: int) -> tuple[Settings, Entries]:
    """The keys and the tensor that say how heads are turned."""
    keys: Settings = {"rope.freq_base": rope.rope_theta, "rope.dimension_count": rope.rotary_size(head_dim)}
    match rope.rope_type:
        case "default":
            return keys, {}
        case "linear":
            return {**keys, "rope.scaling.type": "linear", "rope.scaling.factor": rope.factor}, {}
        case "llama3":
            return keys, {DIVISORS: Stored.of(_divisors(rope, head_dim))}
        case "yarn":
            return {**keys, **_yarn_keys(rope)}, {}
    raise WeightsError(f"rope_type {rope.rope_type!r} has no form in GGUF that Wenlu writes")


def write_longrope(rope: RopeConfig, head_dim: int, *, original: int, context: int) -> tuple[Settings, Entries]:
    """The inverse of `read_longrope`, for a first training of `original` tokens and a context of `context`."""
    if rope.rope_type != "longrope":
        return write_rope(rope, head_dim)
    keys: Settings = {"rope.freq_base": rope.rope_theta, "rope.dimension_count": rope.rotary_size(head_dim)}
    stretch = context / original
    factor = 1.0 if stretch <= 1 else math.sqrt(1 + math.log(stretch) / math.log(original))
    keys["rope.scaling.attn_factor"] = rope.attention_factor or factor
    lists = {key: torch.tensor(getattr(rope, name)) for name, key in _LONGROPE.items()}
    return keys, {key: Stored.of(values) for key, values in lists.items()}


def _yarn_keys(rope: RopeConfig) -> Settings:
    told = {name: getattr(rope, name) for name in ("attention_factor", "mscale", "mscale_all_dim", "truncate")}
    closed = [name for name, value in told.items() if value is not None]
    if closed:
        raise WeightsError(f"rope_type 'yarn' with {', '.join(closed)} has no form in GGUF that Wenlu writes")
    return {
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": rope.factor,
        "rope.scaling.original_context_length": rope.original_max_position_embeddings,
        "rope.scaling.yarn_beta_fast": rope.beta_fast,
        "rope.scaling.yarn_beta_slow": rope.beta_slow,
    }


def _divisors(rope: RopeConfig, head_dim: int) -> torch.Tensor:
    plain = RopeConfig(rope_theta=rope.rope_theta)
    return frequencies(plain, head_dim) / frequencies(rope, head_dim)


def _llama3(divisors: Stored, theta: float, head_dim: int) -> Settings:
    """The settings whose divisors these are: the file keeps only the result."""
    if divisors.shape != (head_dim // 2,):
        raise WeightsError(f"{DIVISORS} has shape {list(divisors.shape)}; heads of {head_dim} need {head_dim // 2}")
    values = divisors.read().float()
    if not bool(torch.isfinite(values).all()) or float(values.min()) < 1:
        raise WeightsError(f"{DIVISORS} holds {float(values.min())}; divisors of frequencies are 1 or more")
    for length in _TRAINED_LENGTHS:
        settings = {
            "rope_type": "llama3",
            "factor": float(values.max()),
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": length,
        }
        if torch.allclose(_divisors(RopeConfig(rope_theta=theta, **settings), head_dim), values, rtol=1e-4):
            return settings
    raise WeightsError(f"{DIVISORS} is not the scaling of Llama 3 with low and high frequency factors 1 and 4")
