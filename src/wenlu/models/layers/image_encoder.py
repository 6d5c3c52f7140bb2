"""Models over pictures alone: what they answer, and what the toolkit knows of each."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from wenlu.models.family import Architecture
from wenlu.models.layers.vision_tower import VisionConfig


class ImageEncoder(nn.Module, ABC):
    """`hidden` stops before the head, the call itself goes through it."""

    config: VisionConfig

    @abstractmethod
    def hidden(self, pixel_values: Tensor) -> Tensor:
        """Hidden states (M, S, D) of M pictures (M, C, H, W)."""

    @abstractmethod
    def forward(self, pixel_values: Tensor) -> Tensor:
        """Logits (M, L) of the labels; of a bare encoder its hidden states."""


class ImageFamily(Architecture[VisionConfig, ImageEncoder]):
    """A row of `IMAGE_FAMILIES`."""
