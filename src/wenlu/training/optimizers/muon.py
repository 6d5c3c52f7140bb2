"""Muon for the matrices, AdamW for the rest."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat

from wenlu.training.optimizers.config import Decay, OptimizerConfig
from wenlu.training.optimizers.groups import Weights, groups, is_hidden_matrix


class MuonConfig(OptimizerConfig):
    """Updates of hidden matrices made orthogonal (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

    AdamW moves what is no such matrix: embeddings, tables of positions, heads and vectors.
    """

    is_elementwise: ClassVar[bool] = False

    name: Literal["muon"] = "muon"
    lr: PositiveFloat = 2e-3
    """Peak rate of AdamW."""
    muon_lr: PositiveFloat = 0.02
    """Peak rate of Muon, per unit of spectral norm of an update."""
    betas: tuple[Decay, Decay] = (0.9, 0.95)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.1
    """Of AdamW."""
    muon_momentum: Decay = 0.95
    muon_weight_decay: NonNegativeFloat = 0.0
    muon_iterations: Annotated[int, Field(ge=1, le=20)] = 5
    """Newton–Schulz iterations that orthogonalise an update."""

    def parts(self, weights: Weights) -> list[torch.optim.Optimizer]:
        matrices = {name: weight for name, weight in weights.items() if is_hidden_matrix(name, weight)}
        rest = {name: weight for name, weight in weights.items() if name not in matrices}
        of_adamw, of_muon = (
            groups(some, lr=lr, weight_decay=decay, layer_decay=self.layer_decay, among=weights)
            for some, lr, decay in (
                (rest, self.lr, self.weight_decay),
                (matrices, self.muon_lr, self.muon_weight_decay),
            )
        )
        parts: list[torch.optim.Optimizer] = []
        if of_adamw:
            parts.append(torch.optim.AdamW(of_adamw, betas=self.betas, eps=self.eps, fused=True))
        if of_muon:
            parts.append(torch.optim.Muon(of_muon, momentum=self.muon_momentum, ns_steps=self.muon_iterations))
        return parts
