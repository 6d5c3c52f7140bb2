"""Optimizers over named weights, as one object that can be saved by name."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from wenlu.training.optimizers.config import OptimizerConfig
from wenlu.training.optimizers.groups import Weights


class Optimizer:
    """One or more of torch's optimizers that together own every weight."""

    def __init__(self, config: OptimizerConfig, weights: Weights) -> None:
        self.weights = dict(weights)
        self.parts = config.parts(self.weights)
        self._peaks = [[float(group["lr"]) for group in part.param_groups] for part in self.parts]

    def step(self, factor: float) -> None:
        """Move the weights along their `.grad`, at `factor` times each peak rate."""
        for part, peaks in zip(self.parts, self._peaks, strict=True):
            for group, peak in zip(part.param_groups, peaks, strict=True):
                group["lr"] = peak * factor
            part.step()

    def averages(self) -> dict[str, Tensor]:
        """The weights to evaluate and to keep in place of those that are trained; most optimizers have none."""
        kept = {key.removesuffix(".average"): x for key, x in self.tensors().items() if key.endswith(".average")}
        return {**self.weights, **kept} if kept else {}

    def tensors(self) -> dict[str, Tensor]:
        """What the optimizers remember, as `<weight>.<kind>`."""
        return {
            f"{name}.{kind}": value
            for name, weight in self.weights.items()
            for part in self.parts
            for kind, value in part.state.get(weight, {}).items()
            if value is not None  # plain SGD notes that it has no momentum
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `tensors` gave, and forget everything else."""
        for part in self.parts:
            part.state.clear()
        owner = {id(w): part for part in self.parts for group in part.param_groups for w in group["params"]}
        for key, value in tensors.items():
            name, _, kind = key.rpartition(".")
            weight = self.weights[name]
            owner[id(weight)].state[weight][kind] = value.clone()
