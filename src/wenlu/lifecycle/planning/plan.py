"""The verb `plan`: what a recipe will take of this machine, and what to change where that is too much."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wenlu.config import load
from wenlu.distributed import from_environment
from wenlu.errors import UsageError
from wenlu.lifecycle.base import with_base
from wenlu.lifecycle.life import Life
from wenlu.lifecycle.planning.changes import Change, Limits, changes, exceeded
from wenlu.lifecycle.planning.forecast import Forecast, Probed, forecast
from wenlu.lifecycle.planning.outcome import FILE
from wenlu.lifecycle.planning.settings import PlanConfig
from wenlu.lifecycle.recipe import Recipe
from wenlu.lifecycle.stages import train_key
from wenlu.lifecycle.verbs import read_stages
from wenlu.progress import QUIET, Progress
from wenlu.rundir import atomic, provenance
from wenlu.training.memory import free_bytes, memory_use
from wenlu.training.validation import device_of


@dataclass(frozen=True)
class Plan:
    """A forecast beside its limits, by how much it exceeds which, and what to change.

    Attributes:
        path: of `plan.json`, where it was kept.
    """

    forecast: Forecast
    limits: Limits
    over: dict[str, float]
    changes: tuple[Change, ...]
    path: Path | None

    @property
    def fits(self) -> bool:
        return not self.over

    def to_json(self) -> dict[str, Any]:
        return {
            "forecast": self.forecast.to_json(),
            "limits": asdict(self.limits),
            "fits": self.fits,
            "over": self.over,
            "changes": [asdict(change) for change in self.changes],
        }


def plan(
    recipe: str | Path, overrides: Sequence[str] = (), *, out: str | Path | None = None, progress: Progress = QUIET
) -> Plan:
    """Read the data of a recipe and measure a few steps of its training; the weights are thrown away.

    Args:
        out: the run directory to be: what is read stays there for the run, and `plan.json`, which the run then compares
            with what happened. None: a temporary folder, removed afterwards.

    Raises the errors of `wenlu.errors`; ResourceError where not even one row a forward pass fits into memory.
    """
    path = Path(recipe)
    content = with_base(load(Recipe, path, overrides))
    for section in ("vectors", "architectures"):
        if getattr(content, section) is not None:
            raise UsageError(f"{path}: [{section}] cannot be planned; remove the section")
    if from_environment().size > 1:
        raise UsageError("plan measures a single process; run it without torchrun")
    folder = Path(tempfile.mkdtemp(prefix="wenlu-plan-")) if out is None else Path(out)
    try:
        return _planned(content, folder, progress, keep=out is not None)
    finally:
        if out is None:
            shutil.rmtree(folder, ignore_errors=True)


def _planned(recipe: Recipe, folder: Path, progress: Progress, *, keep: bool) -> Plan:
    origin = provenance(sys.argv, seeds={"run": recipe.seed}, data={})
    with Life.begin(recipe, folder, origin, progress) as life:
        life = read_stages(life)
        progress.start("probe")
        probed = forecast(life, recipe.plan.probe_seconds)
        progress.finish(f"{probed.pace.step:.3f} s a step")
        limits = _limits(recipe.plan, probed, folder)
        found = Plan(
            probed.forecast,
            limits,
            exceeded(probed, limits),
            tuple(changes(probed, limits)),
            folder / FILE if keep else None,
        )
        if keep:
            content = {"key": train_key(life), **found.to_json()}
            atomic.write_text(folder / FILE, json.dumps(content, indent=2) + "\n")
        return found


def _limits(config: PlanConfig, probed: Probed, folder: Path) -> Limits:
    device = device_of(probed.begun.model)
    memory: int | None
    if config.memory_gigabytes != "auto":
        memory = round(config.memory_gigabytes * 1e9)
    else:
        free, own = free_bytes(device), memory_use(device).get("memory")
        memory = None if free is None or own is None or device.type != "cpu" else free + int(own)
    if config.disk_gigabytes != "auto":
        disk = round(config.disk_gigabytes * 1e9)
    else:
        disk = shutil.disk_usage(folder).free
    return Limits(memory, disk, None if config.minutes is None else 60 * config.minutes)
