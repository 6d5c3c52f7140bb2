"""Rotary position embedding: queries and keys are turned by an angle that grows with their position.

Su et al. 2021, arXiv:2104.09864. Pairs are (i, i + H/2), as in Hugging Face's Llama.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar

import torch
from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from wenlu.config import Config

T = TypeVar("T")


class RopeConfig(Config):
    """`rope_parameters` of a Hugging Face config.

    - `linear` divides every frequency by `factor`.
    - `dynamic` raises the base once a text is longer than the model's `max_position_embeddings`, the more the longer.
    - `yarn` divides slow frequencies by `factor`, keeps fast ones, and scales all scores (Peng et al. 2023,
      arXiv:2309.00071).
    - `longrope` divides each frequency by a number of its own, another one once a text is longer than what the model
      was first trained on, and scales all scores (Ding et al. 2024, arXiv:2402.13753).
    - `llama3` divides only those whose wavelength exceeds what the model was first trained on (Llama 3.1,
      arXiv:2407.21783), with a smooth passage between.
    """

    rope_type: Literal["default", "linear", "dynamic", "yarn", "longrope", "llama3"] = "default"
    rope_theta: PositiveFloat = 10000.0
    factor: PositiveFloat | None = None
    low_freq_factor: PositiveFloat | None = None
    high_freq_factor: PositiveFloat | None = None
    original_max_position_embeddings: PositiveInt | None = None
    attention_factor: PositiveFloat | None = None
    beta_fast: PositiveFloat | None = None
    beta_slow: PositiveFloat | None = None
    mscale: PositiveFloat | None = None
    mscale_all_dim: PositiveFloat | None = None
    truncate: bool | None = None
    short_factor: tuple[PositiveFloat, ...] | None = None
    long_factor: tuple[PositiveFloat, ...] | None = None

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        given = {name for name in _SCALING if getattr(self, name) is not None}
        needed, optional = _NEEDED[self.rope_type], _OPTIONAL.get(self.rope_type, set())
        if missing := sorted(needed - given):
            raise ValueError(f"rope_type {self.rope_type!r} needs {', '.join(missing)}")
        if unused := sorted(given - needed - optional):
            raise ValueError(f"rope_type {self.rope_type!r} does not use {', '.join(unused)}")
        if self.rope_type == "llama3" and _required(self.low_freq_factor) >= _required(self.high_freq_factor):
            raise ValueError(
                f"low_freq_factor {self.low_freq_factor} must be below high_freq_factor {self.high_freq_factor}"
            )
        return self

    def rotary_size(self, head_dim: int) -> int:
        """How many numbers of a head are turned, from the first on."""
        return head_dim

    def check_size(self, head_dim: int) -> None:
        """Raise ValueError where heads of that size cannot be turned so."""
        size = self.rotary_size(head_dim)
        if size % 2 or not size:
            raise ValueError(f"{size} numbers of head_dim {head_dim} are turned; rotary positions turn pairs")
        if self.rope_type == "dynamic" and size < 4:
            raise ValueError(f"rope_type 'dynamic' needs a head_dim of at least 4, not {head_dim}")
        for name in ("short_factor", "long_factor"):
            factors = getattr(self, name)
            if factors is not None and len(factors) != size // 2:
                raise ValueError(f"{name} has {len(factors)} numbers, and {size // 2} pairs of each head are turned")


class PartialRopeConfig(RopeConfig):
    """Only a share of each head is turned, as in Phi-3."""

    partial_rotary_factor: float = Field(default=1.0, gt=0, le=1)

    def rotary_size(self, head_dim: int) -> int:
        return int(head_dim * self.partial_rotary_factor)


_YARN = {"beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"}
_NEEDED: dict[str, set[str]] = {
    "default": set(),
    "linear": {"factor"},
    "dynamic": {"factor"},
    "yarn": {"factor"},
    "longrope": {"short_factor", "long_factor"},
    "llama3": {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"},
}
_OPTIONAL: dict[str, set[str]] = {
    "yarn": {*_YARN, "attention_factor", "original_max_position_embeddings"},
    "longrope": {"factor", "attention_factor", "original_max_position_embeddings"},
}
_SCALING = set().union(*_NEEDED.values(), *_OPTIONAL.values())
_BESIDE = ("rope_theta", "partial_rotary_factor")
"""What configs of transformers 4 write beside `rope_scaling`."""


def with_rope_parameters(data: dict[str, Any]) -> dict[str, Any]:
    """A config whose `rope_theta` and `rope_scaling`, as transformers 4 writes them, are in `rope_parameters`.

    Raises ValueError where the spellings contradict each other.
    """
    rest = {key: value for key, value in data.items() if key not in (*_BESIDE, "rope_scaling")}
    beside = {key: data[key] for key in _BESIDE if data.get(key) is not None}
    scaling, given = data.get("rope_scaling") or {}, data.get("rope_parameters") or {}
    if isinstance(given, RopeConfig):
        given = given.model_dump(exclude_none=True)
    if not beside and not scaling and not (isinstance(given, dict) and "type" in given):
        return rest
    if not isinstance(scaling, dict) or not isinstance(given, dict):
        raise ValueError(f"rope_scaling {scaling!r} and rope_parameters {given!r} must be tables")
    rope = {**scaling, **given}
    if "type" in rope:  # so spelt before transformers 4.43
        rope = {"rope_type": rope["type"], **{key: value for key, value in rope.items() if key != "type"}}
    for key, value in beside.items():
        if rope.setdefault(key, value) != value:
            raise ValueError(f"{key} {value} contradicts rope_parameters.{key} {rope[key]}")
    return {**rest, "rope_parameters": rope}


@dataclass(frozen=True)
class Rope:
    """Cosines and sines of the angles at some positions, (B or 1, T, 1, H/2) each."""

    cos: Tensor
    sin: Tensor

    def rotate(self, x: Tensor) -> Tensor:
        """Turn the heads (B, T, N, H) of each position by its angles; what is beyond the angles passes."""
        size = 2 * self.cos.size(-1)
        if size < x.size(-1):
            return torch.cat((self.rotate(x[..., :size]), x[..., size:]), dim=-1)
        first, second = x.chunk(2, dim=-1)
        return torch.cat((first * self.cos - second * self.sin, second * self.cos + first * self.sin), dim=-1)


def rope_at(
    positions: Tensor,
    config: RopeConfig,
    *,
    head_dim: int,
    dtype: torch.dtype,
    context: int | None = None,
    totals: Tensor | None = None,
) -> Rope:
    """Angles of `positions` (B or 1, T), computed in fp32 whatever `dtype` the result has.

    Args:
        context: the model's `max_position_embeddings`, from which some scalings start.
        totals: (B or 1, T or 1) length of the whole text of each position, on which `dynamic` and `longrope` depend;
            by default that of the context.
    """
    turns = frequencies(config, head_dim, context=context, totals=totals).to(positions.device)
    angles = positions[..., None, None].float() * turns.unsqueeze(-2)  # (B or 1, T, 1, H/2)
    scale = magnitude(config, context)
    return Rope((angles.cos() * scale).to(dtype), (angles.sin() * scale).to(dtype))


def frequencies(
    config: RopeConfig, head_dim: int, *, context: int | None = None, totals: Tensor | None = None
) -> Tensor:
    """Radians per position of each pair, fp32: (H/2,), or (B or 1, T or 1, H/2) where they depend on `totals`."""
    size = config.rotary_size(head_dim)
    exponents = torch.arange(0, size, 2, dtype=torch.float32) / size
    plain = 1.0 / config.rope_theta**exponents
    match config.rope_type:
        case "default":
            return plain
        case "linear":
            return plain / _required(config.factor)
        case "dynamic":
            return plain if totals is None else _dynamic(exponents, config, totals, _required(context))
        case "yarn":
            return _yarn(exponents, config, _original(config, context))
        case "longrope":
            return _longrope(exponents, config, totals, _original(config, context))
        case "llama3":
            return _llama3(plain, config)


def magnitude(config: RopeConfig, context: int | None) -> float:
    """What cosines and sines are multiplied by, so that the scores of `yarn` and `longrope` grow by its square."""
    if config.rope_type not in ("yarn", "longrope"):
        return 1.0
    if config.attention_factor is not None:
        return config.attention_factor
    original = _original(config, context)
    if config.rope_type == "longrope":
        factor = _required(context) / original if config.factor is None else config.factor
        return 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
    growth = max(0.0, 0.1 * math.log(_required(config.factor)))
    if config.mscale is not None and config.mscale_all_dim is not None:
        return (1 + config.mscale * growth) / (1 + config.mscale_all_dim * growth)
    return 1 + growth


def _dynamic(exponents: Tensor, config: RopeConfig, totals: Tensor, context: int) -> Tensor:
    factor, size = _required(config.factor), 2 * len(exponents)
    growth = factor * totals.clamp(min=context).float() / context - (factor - 1)  # 1 up to the context
    base = config.rope_theta * growth ** (size / (size - 2))
    return 1.0 / base[..., None] ** exponents.to(totals.device)


def _yarn(exponents: Tensor, config: RopeConfig, original: int) -> Tensor:
    size = 2 * len(exponents)
    wavelengths = config.rope_theta**exponents

    def pair_that_turns(times: float) -> float:
        return size * math.log(original / (times * 2 * math.pi)) / (2 * math.log(config.rope_theta))

    low, high = pair_that_turns(config.beta_fast or 32), pair_that_turns(config.beta_slow or 1)
    if config.truncate is None or config.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, size - 1)
    slow = (torch.arange(len(exponents)) - low) / (high - low if high != low else 0.001)
    fast = 1 - slow.clamp(0, 1)  # 1: kept, 0: scaled
    return (1 - fast) * (1.0 / (_required(config.factor) * wavelengths)) + fast * (1.0 / wavelengths)


def _longrope(exponents: Tensor, config: RopeConfig, totals: Tensor | None, original: int) -> Tensor:
    short, long = (
        1.0 / (torch.tensor(factors) * config.rope_theta**exponents)
        for factors in (_required(config.short_factor), _required(config.long_factor))
    )
    if totals is None:
        return short
    return torch.where((totals > original)[..., None], long.to(totals.device), short.to(totals.device))


def _llama3(plain: Tensor, config: RopeConfig) -> Tensor:
    factor, low = _required(config.factor), _required(config.low_freq_factor)
    high, length = _required(config.high_freq_factor), _required(config.original_max_position_embeddings)
    turns = length * plain / (2 * math.pi)  # full turns within the length of the first training
    share = ((turns - low) / (high - low)).clamp(0, 1)  # 0: slow, scaled; 1: fast, kept
    return (1 - share) * plain / factor + share * plain


def _original(config: RopeConfig, context: int | None) -> int:
    """The length of the first training."""
    return _required(config.original_max_position_embeddings or context)


def _required(value: T | None) -> T:
    assert value is not None, "checked by RopeConfig, or given by the model"
    return value
