"""Which rule moves the weights, and how far."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from wenlu.config import Config

Decay = Annotated[float, Field(ge=0.0, lt=1.0)]


class OptimizerConfig(Config):
    """The section `[optimizer]`.

    - `adamw`: Loshchilov & Hutter 2019, arXiv:1711.05101;
    - `muon`: matrices by Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon), embeddings, head and
      vectors by AdamW.

    Weight decay is decoupled and spares vectors (norms, biases) and embeddings.
    """

    name: Literal["adamw", "muon"] = "adamw"
    lr: PositiveFloat = 2e-3
    """Peak rate of AdamW."""
    muon_lr: PositiveFloat = 0.02
    """Peak rate of Muon, per unit of spectral norm of an update."""
    betas: tuple[Decay, Decay] = (0.9, 0.95)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.1
    muon_momentum: Decay = 0.95
    muon_weight_decay: NonNegativeFloat = 0.0
    muon_iterations: Annotated[int, Field(ge=1, le=20)] = 5
    """Newton–Schulz iterations that orthogonalise an update."""
