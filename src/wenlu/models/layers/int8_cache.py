"""Keys and values of earlier tokens as whole numbers of eight bits, a substitute of `KVCache`."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from wenlu.models.layers.kv_cache import KVCache, put, resized, stacked

STEPS = 127


class Int8KVCache(KVCache):
    """Each key and each value of a head has a scale of its own, so that the largest of its numbers is met exactly.

    A quarter of the memory of float32 and half of bfloat16, but for the scales: four bytes a head and token. What is
    read of a layer is made anew in each step.
    """

    _key_scales: list[Tensor]
    _value_scales: list[Tensor]
    _dtype: torch.dtype

    @classmethod
    def like(cls, state: KVCache) -> Self:
        """An empty one for as many rows, layers and heads as an empty plain one."""
        assert state.capacity == 0, "made before anything is read"
        keys = state._keys[0]
        made = cls(
            num_layers=len(state._keys),
            batch_size=keys.size(0),
            num_kv_heads=keys.size(1),
            head_dim=keys.size(3),
            dtype=torch.int8,
            device=keys.device,
        )
        made._key_scales = [keys.new_empty(*keys.shape[:3], 1, dtype=torch.float32)] * len(state._keys)
        made._value_scales = list(made._key_scales)
        made._dtype = keys.dtype
        return made

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    def select(self, rows: Tensor) -> Self:
        chosen = super().select(rows)
        chosen._key_scales = [scales.index_select(0, rows) for scales in self._key_scales]
        chosen._value_scales = [scales.index_select(0, rows) for scales in self._value_scales]
        chosen._dtype = self._dtype
        return chosen

    @classmethod
    def join(cls, states: list[Self]) -> Self:
        joined = super().join(states)
        joined._key_scales = stacked([state._key_scales for state in states], joined.capacity)
        joined._value_scales = stacked([state._value_scales for state in states], joined.capacity)
        joined._dtype = states[0]._dtype
        return joined

    def write(self, layer: int, keys: Tensor, values: Tensor, positions: Tensor) -> None:
        blocks = (
            (self._keys[layer], self._key_scales[layer], keys),
            (self._values[layer], self._value_scales[layer], values),
        )
        for codes, scales, new in blocks:
            new = new.detach().float()
            steps = (new.abs().amax(dim=-1, keepdim=True) / STEPS).clamp(min=torch.finfo(torch.float32).tiny)
            put(codes, (new / steps).round().to(torch.int8), positions)
            put(scales, steps, positions)

    def read(self, layer: int, end: int) -> tuple[Tensor, Tensor]:
        keys, values = super().read(layer, end)
        return (
            (keys.float() * self._key_scales[layer][:, :, :end]).to(self._dtype),
            (values.float() * self._value_scales[layer][:, :, :end]).to(self._dtype),
        )

    def _reserve(self, length: int) -> None:
        super()._reserve(length)
        if self._key_scales[0].size(2) < self.capacity:
            self._key_scales = [resized(scales, self.capacity) for scales in self._key_scales]
            self._value_scales = [resized(scales, self.capacity) for scales in self._value_scales]
