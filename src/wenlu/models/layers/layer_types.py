"""Which layers of a decoder see everything, and which only a window of the last tokens."""

from __future__ import annotations

from typing import Literal

LayerType = Literal["full_attention", "sliding_attention"]
"""Names of Hugging Face configs."""


def check_layer_types(layer_types: tuple[LayerType, ...], *, num_layers: int, window: int | None) -> None:
    """Raise ValueError where there is not one a layer, or a sliding layer has no window."""
    if len(layer_types) != num_layers:
        raise ValueError(f"layer_types names {len(layer_types)} layers, and num_hidden_layers is {num_layers}")
    if window is None and "sliding_attention" in layer_types:
        raise ValueError("layer_types has sliding_attention, but no sliding_window is in use")
