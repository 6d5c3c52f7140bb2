"""Everything that training changes, and that a checkpoint must hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from wenlu.errors import WenluError
from wenlu.models import LanguageModel
from wenlu.training.ema import MovingAverage
from wenlu.training.masters import Masters
from wenlu.training.optimizers import Optimizer, OptimizerConfig

MAX_SKIPPED, SKIP_WINDOW = 5, 100


class TrainState:
    """Weights, what the optimizer remembers, random numbers, and how far the run is.

    Attributes:
        step: updates done or skipped. seconds: time spent in them.
        ema: the moving average of the weights, where one is kept.
        tokens: read; of causal models those that are targets.
        skipped: steps whose gradient was not finite and that therefore moved nothing.
    """

    def __init__(self, model: LanguageModel, config: OptimizerConfig, *, ema: float | None = None) -> None:
        self.model = model
        self.config = config
        self.masters = Masters(model)
        self.optimizer = Optimizer(config, self.masters.parameters)
        self.ema = None if ema is None else MovingAverage(ema, self.masters.parameters)
        self.step = 0
        self.tokens = 0
        self.seconds = 0.0
        self.skipped: list[int] = []

    def update(self, *, count: int, factor: float, clip_norm: float | None, tokens: int | None = None) -> float:
        """Move the weights along the summed gradients of `count` targets; returns the norm of their mean.

        `tokens` were read for them; None: as many.

        A gradient that is not finite moves nothing: the step is counted in `skipped`.

        Raises:
            WenluError: over 5 of the last 100 steps were skipped.
        """
        gradients = self.masters.gradients()
        torch._foreach_mul_(gradients, 1.0 / count)
        norm = torch.nn.utils.get_total_norm(gradients)
        value = norm.item()
        if math.isfinite(value):
            if clip_norm is not None and value > clip_norm:
                torch._foreach_mul_(gradients, clip_norm / value)
            self.optimizer.step(factor)
            self.masters.push_weights()
            if self.ema is not None:
                self.ema.update(self.masters.parameters)
        else:
            self._skip()
        self.masters.clear_gradients()
        self.step += 1
        self.tokens += count if tokens is None else tokens
        return value

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within, the model has the weights that are evaluated and kept: the averages, where there are some."""
        averages = self._averages()
        trained = {name: self.model.get_parameter(name).detach().clone() for name in averages}
        self._set(averages)
        yield
        self._set(trained)

    def settle(self) -> None:
        """Leave the model with the weights that are kept; there are no further updates."""
        self._set(self._averages())

    def _averages(self) -> Mapping[str, Tensor]:
        return self.optimizer.averages() if self.ema is None else self.ema.weights

    def _set(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, weight in weights.items():
                self.model.get_parameter(name).copy_(weight)

    def tensors(self) -> dict[str, Tensor]:
        return {
            **{f"weights.{k}": v.detach() for k, v in self.masters.parameters.items()},
            **{f"optimizer.{k}": v for k, v in self.optimizer.tensors().items()},
            **({f"ema.{k}": v for k, v in self.ema.weights.items()} if self.ema else {}),
            "random": torch.get_rng_state(),
        }

    def facts(self) -> dict[str, Any]:
        facts = {"step": self.step, "tokens": self.tokens, "seconds": self.seconds, "skipped": self.skipped}
        return facts if self.ema is None else {**facts, "ema_updates": self.ema.updates}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take back what `tensors` and `facts` gave, bit for bit."""
        with torch.no_grad():
            for name, weight in self.masters.parameters.items():
                weight.copy_(tensors[f"weights.{name}"])
        self.masters.push_weights()
        prefix = "optimizer."
        self.optimizer.restore({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        if self.ema is not None:
            for name, average in self.ema.weights.items():
                average.copy_(tensors[f"ema.{name}"])
            self.ema.updates = int(facts["ema_updates"])
        torch.set_rng_state(tensors["random"])
        self.step, self.tokens = int(facts["step"]), int(facts["tokens"])
        self.seconds, self.skipped = float(facts["seconds"]), list(facts["skipped"])

    def _skip(self) -> None:
        self.skipped.append(self.step)
        recent = [step for step in self.skipped if step > self.step - SKIP_WINDOW]
        if len(recent) > MAX_SKIPPED:
            rates = " or ".join(f"optimizer.{key}" for key in type(self.config).model_fields if key.endswith("lr"))
            raise WenluError(
                f"training diverged: {len(recent)} of the last {SKIP_WINDOW} gradients were not finite "
                f"(steps {', '.join(map(str, recent))}); the weights are those of the last good step. "
                f"Try a lower {rates}, or a longer schedule.warmup_steps"
            )
