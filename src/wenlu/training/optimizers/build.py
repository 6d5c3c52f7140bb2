"""Torch's optimizers over named weights, as one object that can be saved by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from wenlu.training.optimizers.config import OptimizerConfig

Weights = Mapping[str, nn.Parameter]


class Optimizer:
    """One or two of torch's optimizers that together own every weight."""

    def __init__(self, config: OptimizerConfig, weights: Weights) -> None:
        self.weights = dict(weights)
        matrices = {k: w for k, w in self.weights.items() if config.name == "muon" and _is_hidden_matrix(k, w)}
        rest = {k: w for k, w in self.weights.items() if k not in matrices}
        self.parts: list[torch.optim.Optimizer] = [_adamw(config, rest)]
        if matrices:
            self.parts.append(
                torch.optim.Muon(
                    list(matrices.values()),
                    lr=config.muon_lr,
                    weight_decay=config.muon_weight_decay,
                    momentum=config.muon_momentum,
                    ns_steps=config.muon_iterations,
                )
            )
        self._peaks = [[float(group["lr"]) for group in part.param_groups] for part in self.parts]

    def step(self, factor: float) -> None:
        """Move the weights along their `.grad`, at `factor` times each peak rate."""
        for part, peaks in zip(self.parts, self._peaks, strict=True):
            for group, peak in zip(part.param_groups, peaks, strict=True):
                group["lr"] = peak * factor
            part.step()

    def tensors(self) -> dict[str, Tensor]:
        """What the optimizers remember, as `<weight>.<kind>`."""
        return {
            f"{name}.{kind}": value
            for name, weight in self.weights.items()
            for part in self.parts
            for kind, value in part.state.get(weight, {}).items()
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `tensors` gave."""
        owner = {id(w): part for part in self.parts for group in part.param_groups for w in group["params"]}
        for key, value in tensors.items():
            name, _, kind = key.rpartition(".")
            weight = self.weights[name]
            owner[id(weight)].state[weight][kind] = value.clone()


def _adamw(config: OptimizerConfig, weights: Weights) -> torch.optim.AdamW:
    decayed = [w for k, w in weights.items() if w.ndim >= 2 and not k.endswith("embed_tokens.weight")]
    spared = [w for k, w in weights.items() if w.ndim < 2 or k.endswith("embed_tokens.weight")]
    groups = [
        {"params": params, "weight_decay": decay}
        for params, decay in ((decayed, config.weight_decay), (spared, 0.0))
        if params
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=True)


def _is_hidden_matrix(name: str, weight: Tensor) -> bool:
    return weight.ndim == 2 and not name.endswith(("embed_tokens.weight", "lm_head.weight"))
