"""Mix texts with each other, so that a model learns what lies between them (Zhang et al. 2018, arXiv:1710.09412)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from wenlu.errors import UsageError
from wenlu.models import LanguageModel

Place = Literal["vector", "embedding"]
"""Where: in the vector that the head reads, or in the embedding of each token (sentence and word mixup of Guo, Mao &
Zhang 2019, arXiv:1905.08941)."""


@dataclass(frozen=True)
class Mixture:
    """Each text of a batch with another one.

    Attributes:
        share: of the first, at least one half. others: (B,) which text each is mixed with.
    """

    share: float
    others: Tensor

    @classmethod
    def drawn(cls, alpha: float, count: int, device: torch.device) -> Self:
        """λ ~ Beta(α, α), and a permutation of the texts."""
        share = float(torch.distributions.Beta(alpha, alpha).sample())
        return cls(max(share, 1 - share), torch.randperm(count, device=device))

    def of(self, values: Tensor) -> Tensor:
        return self.share * values + (1 - self.share) * values[self.others]

    def mask(self, mask: Tensor) -> Tensor:
        """(B, T) where either text has a token."""
        return mask | mask[self.others]

    @contextmanager
    def in_embedding(self, model: LanguageModel, mask: Tensor) -> Iterator[None]:
        """Within, tokens that the model reads (B, T) are embedded mixed with those of the other texts; where a text has
        no token any more, it adds nothing.

        Raises UsageError where the model has no embedding of tokens by that name.
        """
        embedding = getattr(model, "embed_tokens", None)
        if not isinstance(embedding, nn.Module):
            raise UsageError(
                f'task.mixup_in="embedding": {type(model).__name__} has no embedding of tokens; use "vector"'
            )
        real = mask[..., None]

        def mixed(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:  # noqa: ARG001
            return self.of(output * real.to(output.dtype))

        handle = embedding.register_forward_hook(mixed)
        try:
            yield
        finally:
            handle.remove()
