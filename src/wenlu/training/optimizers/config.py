"""What the settings of every optimizer share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar

import torch
from pydantic import Field, PositiveFloat

from wenlu.config import Config
from wenlu.training.optimizers.groups import Weights

Decay = Annotated[float, Field(ge=0.0, lt=1.0)]


class OptimizerConfig(Config):
    """The section `[optimizer]`: a rule by its `name`, and the settings of that rule.

    Weight decay is decoupled (Loshchilov & Hutter 2019, arXiv:1711.05101) and spares vectors (norms, biases) and
    embeddings of tokens.
    """

    is_elementwise: ClassVar[bool] = True
    """Whether each number of a weight moves by itself, so that processes may hold parts of weights."""

    name: str
    lr: PositiveFloat
    """Peak rate."""
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Of Transformers: each layer learns at this share of the rate of the layer above it, embeddings slowest; for
    models that are trained already (Howard & Ruder 2018, arXiv:1801.06146; Clark et al. 2020, arXiv:2003.10555)."""

    @abstractmethod
    def parts(self, weights: Weights) -> list[torch.optim.Optimizer]:
        """One or more optimizers that together own every weight, each group with its peak rate as `lr`."""
