"""Where the time of a step goes: a trace of a few steps, and a table of what costs most in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from wenlu.progress import Progress
from wenlu.rundir import atomic

FOLDER = "profile"
WARM_UP_STEPS = 3
"""The first steps pay for memory and caches; one more is spent on starting the profiler."""
ROWS = 10
BETWEEN = "(Python, between operations)"
_STEP = "ProfilerStep"


class Cost(TypedDict):
    """One row of `costs.json`."""

    name: str
    share: float
    ms_per_step: float
    calls_per_step: float


@contextmanager
def profiled(steps: int, run: Path, progress: Progress) -> Iterator[Callable[[], None]]:
    """Within, profile `steps` training steps, whose results stay the same; what is yielded is called after each.

    Writes `profile/trace.json`, which Perfetto and Chrome show, `costs.json` and `costs.txt`; a disk that refuses them
    is a warning.
    """
    if steps == 0:
        yield lambda: None
        return
    said = f"no profile: training must go on for more than {WARM_UP_STEPS + 1} steps from where it began"

    def keep(profiler: Any) -> None:
        nonlocal said
        try:
            said = f"what cost most in the profiled steps ({run / FOLDER}):\n{_write(profiler, run / FOLDER)}"
        except (OSError, RuntimeError) as error:
            said = f"{run / FOLDER}: the profile could not be written: {error}"

    devices = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    plan = schedule(wait=WARM_UP_STEPS, warmup=1, active=steps, repeat=1)
    try:
        with profile(activities=devices, schedule=plan, on_trace_ready=keep) as profiler:
            yield profiler.step
    finally:
        progress.warn(said)


def _write(profiler: Any, folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    trace = atomic.temporary_name(folder / "trace.json")
    try:
        profiler.export_chrome_trace(str(trace))
        trace.replace(folder / "trace.json")
    finally:
        trace.unlink(missing_ok=True)
    costs = largest_costs(profiler)
    table = as_text(costs)
    (folder / "costs.json").write_text(json.dumps(costs, indent=2) + "\n", encoding="utf-8")
    (folder / "costs.txt").write_text(table + "\n", encoding="utf-8")
    return table


def largest_costs(profiler: Any) -> list[Cost]:
    """The operations with the most time of their own (of the device, where there is one), without what they call."""
    averages = profiler.key_averages()
    on_device = any(each.self_device_time_total for each in averages)
    times = {
        each.key: (each.self_device_time_total if on_device else each.self_cpu_time_total) / 1000 for each in averages
    }
    total, steps = sum(times.values()), sum(each.count for each in averages if each.key.startswith(_STEP))
    largest = sorted(averages, key=lambda each: times[each.key], reverse=True)[:ROWS]
    return [
        {
            "name": BETWEEN if each.key.startswith(_STEP) else each.key,
            "share": times[each.key] / total,
            "ms_per_step": times[each.key] / steps,
            "calls_per_step": each.count / steps,
        }
        for each in largest
    ]


def as_text(costs: list[Cost]) -> str:
    """The table for people."""
    lines = [f"{'share':>6} {'ms/step':>9} {'calls/step':>10}  operation, by its own time"]
    lines += [
        f"{row['share']:>6.1%} {row['ms_per_step']:>9.2f} {row['calls_per_step']:>10,.0f}  {row['name']}"
        for row in costs
    ]
    return "\n".join(lines)
