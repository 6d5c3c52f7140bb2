"""Rotary position embedding: queries and keys are turned by an angle that grows with their position.

Su et al. 2021, arXiv:2104.09864. Pairs are (i, i + H/2), as in Hugging Face's Llama.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from pydantic import PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from wenlu.config import Config


class RopeConfig(Config):
    """`rope_parameters` of a Hugging Face config.

    `linear` divides every frequency by `factor`; `llama3` divides only those whose wavelength exceeds what the
    model was first trained on (Llama 3.1, arXiv:2407.21783), with a smooth passage between.
    """

    rope_type: Literal["default", "linear", "llama3"] = "default"
    rope_theta: PositiveFloat = 10000.0
    factor: PositiveFloat | None = None
    low_freq_factor: PositiveFloat | None = None
    high_freq_factor: PositiveFloat | None = None
    original_max_position_embeddings: PositiveInt | None = None

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        given = {name for name in _SCALING if getattr(self, name) is not None}
        needed = _NEEDED[self.rope_type]
        if missing := sorted(needed - given):
            raise ValueError(f"rope_type {self.rope_type!r} needs {', '.join(missing)}")
        if unused := sorted(given - needed):
            raise ValueError(f"rope_type {self.rope_type!r} does not use {', '.join(unused)}")
        if self.rope_type == "llama3" and _required(self.low_freq_factor) >= _required(self.high_freq_factor):
            raise ValueError(
                f"low_freq_factor {self.low_freq_factor} must be below high_freq_factor {self.high_freq_factor}"
            )
        return self


_SCALING = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
_NEEDED: dict[str, set[str]] = {"default": set(), "linear": {"factor"}, "llama3": set(_SCALING)}


def with_rope_parameters(data: dict[str, Any]) -> dict[str, Any]:
    """A config whose `rope_theta` and `rope_scaling`, as transformers 4 writes them, are in `rope_parameters`.

    Raises ValueError where the spellings contradict each other.
    """
    rest = {key: value for key, value in data.items() if key not in ("rope_theta", "rope_scaling")}
    theta, scaling, given = data.get("rope_theta"), data.get("rope_scaling") or {}, data.get("rope_parameters") or {}
    if theta is None and not scaling:
        return rest
    if isinstance(given, RopeConfig):
        given = given.model_dump(exclude_none=True)
    if not isinstance(scaling, dict) or not isinstance(given, dict):
        raise ValueError(f"rope_scaling {scaling!r} and rope_parameters {given!r} must be tables")
    rope = {**scaling, **given}
    if "type" in rope:  # so spelt before transformers 4.43
        rope = {"rope_type": rope["type"], **{key: value for key, value in rope.items() if key != "type"}}
    if theta is not None and rope.setdefault("rope_theta", theta) != theta:
        raise ValueError(f"rope_theta {theta} contradicts rope_parameters.rope_theta {rope['rope_theta']}")
    return {**rest, "rope_parameters": rope}


@dataclass(frozen=True)
class Rope:
    """Cosines and sines of the angles at some positions, (B or 1, T, 1, H/2) each."""

    cos: Tensor
    sin: Tensor

    def rotate(self, x: Tensor) -> Tensor:
        """Turn the heads (B, T, N, H) of each position by its angles."""
        first, second = x.chunk(2, dim=-1)
        return torch.cat((first * self.cos - second * self.sin, second * self.cos + first * self.sin), dim=-1)


def rope_at(positions: Tensor, config: RopeConfig, *, head_dim: int, dtype: torch.dtype) -> Rope:
    """Angles of `positions` (B or 1, T), computed in fp32 whatever `dtype` the result has."""
    angles = positions[..., None, None].float() * frequencies(config, head_dim).to(positions.device)
    return Rope(angles.cos().to(dtype), angles.sin().to(dtype))


def frequencies(config: RopeConfig, head_dim: int) -> Tensor:
    """Radians per position of each pair, (H/2,) fp32."""
    plain = 1.0 / config.rope_theta ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    match config.rope_type:
        case "default":
            return plain
        case "linear":
            return plain / _required(config.factor)
        case "llama3":
            return _llama3(plain, config)


def _llama3(plain: Tensor, config: RopeConfig) -> Tensor:
    factor, low = _required(config.factor), _required(config.low_freq_factor)
    high, length = _required(config.high_freq_factor), _required(config.original_max_position_embeddings)
    turns = length * plain / (2 * math.pi)  # full turns within the length of the first training
    share = ((turns - low) / (high - low)).clamp(0, 1)  # 0: slow, scaled; 1: fast, kept
    return (1 - share) * plain / factor + share * plain


def _required(value: float | None) -> float:
    assert value is not None, "checked by RopeConfig"
    return value
