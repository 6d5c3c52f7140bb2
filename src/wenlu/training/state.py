"""Everything that training changes, and that a checkpoint must hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from wenlu.distributed import Placement, alone
from wenlu.kernels.native import trim_pool
from wenlu.models import LanguageModel
from wenlu.training.best import Best
from wenlu.training.ema import MovingAverage
from wenlu.training.masters import Masters
from wenlu.training.memory import OutOfMemory, Watermark
from wenlu.training.optimizers import Optimizer, OptimizerConfig
from wenlu.training.spikes import Spikes

MAX_SKIPPED, SKIP_WINDOW = 5, 100


@dataclass(frozen=True)
class News:
    """Something that the run logs and the user should see: an event, and a sentence."""

    name: str
    value: float | str
    unit: str
    sentence: str


class TrainState:
    """Weights, what the optimizer remembers, random numbers, and how far the run is.

    Attributes:
        placement: which part of the model this process holds.
        trained: names of the weights that training moves, and a checkpoint holds; all where no process has the whole
            model, which is put together from checkpoints.
        step: updates done or skipped. seconds: time spent in them.
        ema: the moving average of the weights, where one is kept. best: those of the best validation, likewise.
        tokens: read; of causal models those that are targets.
        skipped: steps whose loss or gradient was not finite, or a spike, and that therefore moved nothing.
        diverged: why there is no going on, where there is none; empty otherwise.
        rate: what every learning rate is multiplied by, less than 1 after a roll-back.
        most_rows: of a forward pass, since memory allows no more; None: as many as the settings say.
        news: what happened that nobody told yet.
        roll_backs: how often training went back. judged_from: steps before it are not held against the run any more.
    """

    def __init__(
        self,
        model: LanguageModel,
        config: OptimizerConfig,
        *,
        ema: float | None = None,
        spike_factor: float | None = None,
        best: Best | None = None,
        placement: Placement | None = None,
    ) -> None:
        self.model = model
        self.placement = placement or alone(model)
        self.config = config
        self.masters = Masters(self.placement.weights)
        self.optimizer = Optimizer(config, self.masters.parameters)
        weights = self.placement.weights
        self.trained = tuple(name for name, w in weights.items() if w.requires_grad or self.placement.is_cut)
        self.ema = None if ema is None else MovingAverage(ema, self._trained(self.masters.parameters))
        self.best = best
        self.step = 0
        self.tokens = 0
        self.seconds = 0.0
        self.skipped: list[int] = []
        self.spikes = Spikes(spike_factor)
        self.diverged = ""
        self.rate = 1.0
        self.roll_backs = 0
        self.judged_from = 0
        self.most_rows: int | None = None
        self.watermark = Watermark()
        self.news: list[News] = []

    def update(
        self, *, count: int, factor: float, clip_norm: float | None, loss: float = 0.0, tokens: int | None = None
    ) -> float:
        """Move the weights along the summed gradients of `count` targets; returns the norm of their mean.

        `tokens` were read for them; None: as many. A gradient or a loss that is not finite, and a gradient that is a
        spike, moves nothing: the step is counted in `skipped`, and `diverged` says when they are too many.
        """
        self.placement.sum_gradients(self.masters.parameters)
        gradients = self.masters.gradients()
        value = self.placement.norm(self.masters.parameters).item() / count
        if math.isfinite(value) and math.isfinite(loss) and not self.spikes.meet(value):
            clipped = 1.0 if clip_norm is None else min(1.0, clip_norm / max(value, 1e-30))
            torch._foreach_mul_(gradients, clipped / count)
            self.optimizer.step(factor * self.rate)
            self.masters.push_weights()
            if self.ema is not None:
                self.ema.update(self.masters.parameters)
        else:
            self._skip()
        self.masters.clear_gradients()
        self.step += 1
        self.tokens += count if tokens is None else tokens
        return value

    def rows(self, wanted: int) -> int:
        """Rows of a forward pass, of which the settings want so many."""
        return wanted if self.most_rows is None else min(wanted, self.most_rows)

    def shrink(self, wanted: int, why: str) -> None:
        """Half the rows of a forward pass from now on, and no gradients; raises OutOfMemory where there is one row."""
        self.model.zero_grad()
        self.masters.clear_gradients()
        trim_pool()
        rows = self.rows(wanted)
        if rows == 1:
            raise OutOfMemory(
                f"memory ran out at step {self.step + 1:,} with one row a forward pass ({why}); the same command goes "
                "on from there. Free some memory, or begin anew with train.activation_checkpointing=true or a smaller "
                "model"
            )
        self.most_rows = (rows + 1) // 2
        sentence = (
            f"memory is short ({why}): {self.most_rows} rows a forward pass from now on, as many a step as before"
        )
        self.news.append(News("rows_per_forward", self.most_rows, f"rows, because {why}", sentence))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within, the model has the weights that are evaluated and kept: the averages, where there are some."""
        averages = self._averages()
        trained = {name: self.placement.weights[name].detach().clone() for name in averages}
        self._set(averages)
        yield
        self._set(trained)

    def settle(self) -> None:
        """Leave the model with the weights that are kept; there are no further updates."""
        self._set(self.best.weights if self.best is not None and self.best.weights else self._averages())

    @property
    def is_over(self) -> bool:
        """Whether there is no more patience."""
        return self.best is not None and self.best.is_over

    def look_back(self, value: float, *, is_allowed: bool = True) -> None:
        """Take note of a validation of the weights that the model has now, and whether they may be kept."""
        if self.best is not None:
            self.best.meet(value, self._trained(self.placement.weights), is_allowed=is_allowed)

    def _trained(self, weights: Mapping[str, nn.Parameter]) -> dict[str, nn.Parameter]:
        return {name: weights[name] for name in self.trained}

    def _averages(self) -> Mapping[str, Tensor]:
        return self.optimizer.averages() if self.ema is None else self.ema.weights

    def _set(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, weight in weights.items():
                self.placement.weights[name].copy_(weight)

    def tensors(self) -> dict[str, Tensor]:
        return {
            **{f"weights.{k}": v.detach() for k, v in self._trained(self.masters.parameters).items()},
            **{f"optimizer.{k}": v for k, v in self.optimizer.tensors().items()},
            **({f"ema.{k}": v for k, v in self.ema.weights.items()} if self.ema else {}),
            **({f"best.{k}": v for k, v in self.best.weights.items()} if self.best else {}),
            "random": torch.get_rng_state(),
        }

    def facts(self) -> dict[str, Any]:
        facts = {
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "skipped": self.skipped,
            "norms": list(self.spikes.norms),
            "rate": self.rate,
            "roll_backs": self.roll_backs,
            "judged_from": self.judged_from,
            "most_rows": self.most_rows,
        }
        if self.best is not None:
            facts["best"] = self.best.facts()
        return facts if self.ema is None else {**facts, "ema_updates": self.ema.updates}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take back what `tensors` and `facts` gave, bit for bit."""
        with torch.no_grad():
            for name, weight in self._trained(self.masters.parameters).items():
                weight.copy_(tensors[f"weights.{name}"])
        self.masters.push_weights()
        prefix = "optimizer."
        self.optimizer.restore({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        if self.ema is not None:
            for name, average in self.ema.weights.items():
                average.copy_(tensors[f"ema.{name}"])
            self.ema.updates = int(facts["ema_updates"])
        if self.best is not None:
            kept = {k.removeprefix("best."): v.clone() for k, v in tensors.items() if k.startswith("best.")}
            self.best.restore(kept, facts["best"])
        torch.set_rng_state(tensors["random"])
        self.step, self.tokens = int(facts["step"]), int(facts["tokens"])
        self.seconds, self.skipped = float(facts["seconds"]), list(facts["skipped"])
        self.rate, self.roll_backs = float(facts["rate"]), int(facts["roll_backs"])
        self.judged_from, self.diverged = int(facts["judged_from"]), ""
        self.most_rows = facts["most_rows"]
        self.spikes.norms.clear()
        self.spikes.norms.extend(facts["norms"])

    def recently_skipped(self) -> list[int]:
        """The skipped ones of the last 100 steps, since the last roll-back."""
        return [step for step in self.skipped if step >= max(self.judged_from, self.step - SKIP_WINDOW)]

    def _skip(self) -> None:
        self.skipped.append(self.step)
        recent = self.recently_skipped()
        spoilt = next((name for name, tensor in self.tensors().items() if not tensor.isfinite().all()), "")
        spoilt = next(filter(None, self.placement.world.gather(spoilt)), "")
        if spoilt:
            self.diverged = f"{spoilt} holds nan or infinity after step {self.step:,}"
        elif len(recent) >= MAX_SKIPPED:
            spikes = "" if self.spikes.factor is None else f" or over {self.spikes.factor:g} times as large as usual"
            self.diverged = (
                f"{len(recent)} of the last {SKIP_WINDOW} gradients were not finite{spikes} "
                f"(steps {', '.join(map(str, recent))}); the weights are those of the last good step"
            )
