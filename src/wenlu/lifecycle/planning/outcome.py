"""What a plan said, beside what happened: kept in `plan.json`, and logged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wenlu.rundir import Run, atomic

FILE = "plan.json"
PREFIX = "plan_error."


def compare_with_plan(run: Run, key: str, *, seconds: float | None, step: int, tokens: int, trained: float) -> None:
    """Where the run was planned with these settings, tell by which fraction the plan was off.

    Args:
        key: of the training stage, which the plan was made for. seconds: that it took; None where it was resumed.
        step, tokens, trained: where the run is, as events say it.
    """
    path = run.path / FILE
    if not path.exists():
        return
    plan = json.loads(path.read_text(encoding="utf-8"))
    if plan.get("key") != key:
        return
    happened = _happened(run, seconds)
    errors = {
        name: round(plan["forecast"][name] / value - 1, 4)
        for name, value in happened.items()
        if value and plan["forecast"].get(name)
    }
    for name, error in errors.items():
        run.log(f"{PREFIX}{name}", error, "of what happened", step=step, tokens=tokens, seconds=trained)
    content = {**plan, "happened": happened, "error": errors}
    atomic.write_text(path, json.dumps(content, indent=2) + "\n")


def _happened(run: Run, seconds: float | None) -> dict[str, Any]:
    found: dict[str, float] = {}
    joules, steps = 0.0, 0
    for event in run.events():
        steps = event.step
        if isinstance(event.value, str):
            continue
        if event.name == "energy":
            joules += event.value
        elif event.name in ("memory_peak", "device_memory_peak"):
            found[event.name.removesuffix("_peak")] = event.value
    if seconds is not None:
        found["seconds"] = seconds
        if joules:
            found["joules"] = joules
    return {"steps": steps, "disk": _size(run.path), **found}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
