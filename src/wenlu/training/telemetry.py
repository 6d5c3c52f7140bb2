"""What a run tells of each step that is logged; every number has its unit beside it in `events.jsonl`."""

from __future__ import annotations

from wenlu.rundir import Run
from wenlu.tasks import CausalLM, Task, Totals
from wenlu.training.batches import Batches
from wenlu.training.energy import EnergyMeter
from wenlu.training.flops import flops_per_token
from wenlu.training.gradient_norms import gradient_norms
from wenlu.training.hardware import matrix_product_speed
from wenlu.training.memory import memory_use
from wenlu.training.state import TrainState

LOGGED_STEPS = 2000
SURVEYS = 200
"""How many of the logged steps also tell what moves slowly, or costs a pass over the gradients."""


class Telemetry:
    """Looks at each step from outside and changes nothing.

    Model FLOPs utilisation (Chowdhery et al. 2022, arXiv:2204.02311, appendix B) is tokens/s times the operations that
    a token needs, over the speed of this machine's matrix products, which is measured once and logged as `peak_flops`.
    It is of causal models, in which each token goes through each matrix.
    """

    def __init__(self, run: Run, state: TrainState, task: Task, batches: Batches, *, steps: int) -> None:
        self.task = task
        self.run, self.state, self.batches, self.steps = run, state, batches, steps
        self.energy = EnergyMeter()
        self.norms: dict[str, float] = {}
        self.flops = flops_per_token(state.model, batches.source.length) if isinstance(task, CausalLM) else None
        if self.flops is not None:
            weight = next(state.model.parameters())
            self.peak, conditions = matrix_product_speed(weight.dtype, weight.device)
            self._log("peak_flops", self.peak, f"FLOP/s, {conditions}")

    def before_update(self, totals: Totals) -> None:
        """Look at the gradients of the step that is being made, while they are there and not yet clipped."""
        surveyed = due(self.state.step + 1, self.steps, SURVEYS)
        self.norms = gradient_norms(self.state.masters.parameters, totals.count) if surveyed else {}

    def after_update(self, totals: Totals, *, unit: str, factor: float, norm: float, speed: float) -> None:
        """Log the step that was made, if it is one of those that are told."""
        if not due(self.state.step, self.steps, LOGGED_STEPS):
            return
        self._log("loss", totals.mean, unit)
        for reading in self.task.step_readings(totals):
            self._log(reading.name, reading.value, reading.unit)
        self._log("learning_rate", factor * self.state.rate, "of peak")
        self._log("gradient_norm", norm, unit)
        self._log("speed", speed, "tokens/s")
        if self.flops is not None:
            self._log("mfu", speed * self.flops / self.peak, "of peak_flops")
        if due(self.state.step, self.steps, SURVEYS):
            self._survey(unit)

    def _survey(self, unit: str) -> None:
        for name, norm in self.norms.items():
            self._log(f"gradient_norm.{name}", norm, unit)
        for name, size in memory_use(next(self.state.model.parameters()).device).items():
            self._log(name, size, "bytes")
        epoch, row = divmod(self.state.step * self.batches.rows_per_step, len(self.batches.source))
        self._log("epoch", float(epoch), "whole passes over the data")
        self._log("row", float(row), f"of {len(self.batches.source)} rows of this pass")
        joules = self.energy.since_last()
        if joules is not None:
            self._log("energy", joules, "J since the last of this name")

    def _log(self, name: str, value: float | str, unit: str) -> None:
        log(self.run, self.state, name, value, unit)


def due(step: int, steps: int, times: int) -> bool:
    """Whether something that happens `times` in `steps`, evenly and the last time at the end, happens after `step`."""
    return step * times // steps > (step - 1) * times // steps


def log(run: Run, state: TrainState, name: str, value: float | str, unit: str) -> None:
    run.log(name, value, unit, step=state.step, tokens=state.tokens, seconds=state.seconds)
