"""The one place where data meets model: what an example is, its loss, its scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from wenlu.metrics import Columns, Metric
from wenlu.models import LanguageModel

IGNORED = -100
"""Target at positions that carry no loss."""


@dataclass(frozen=True)
class Batch:
    """Tensors of one forward pass; absent ones are None. Shapes as in `LanguageModel.hidden`."""

    input_ids: Tensor
    targets: Tensor
    attention_mask: Tensor | None = None
    segments: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        moved = {k: v.to(device, non_blocking=True) for k, v in vars(self).items() if v is not None}
        return replace(self, **moved)


@dataclass(frozen=True)
class Loss:
    """A summed loss in nats and the number of targets it sums over: never a mean, for only the loop
    knows the global count."""

    sum: Tensor
    count: int


class Predictor(Protocol):
    """Anything that answers examples of a task: a bundle, a linear model, an n-gram, an endpoint."""

    def answer(self, examples: Sequence[Any]) -> list[Any]:
        """One answer for each example, in order."""


class Task(ABC):
    """Typed example, loss and scores of one thing that models are trained for."""

    name: ClassVar[str]
    example: ClassVar[type]
    metrics: ClassVar[tuple[Metric, ...]]

    @abstractmethod
    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        """Run the forward passes and sum the loss; a teacher or reference model is the task's own."""

    @abstractmethod
    def columns(self, examples: Sequence[Any], answers: Sequence[Any]) -> Columns:
        """What the metrics need, one array a name and one entry an example."""


def stack(rows: Sequence[np.ndarray[Any, Any]]) -> Tensor:
    """(B, T) int64 of equally long rows of ids."""
    return torch.from_numpy(np.stack(rows).astype(np.int64))
