"""Several runs side by side: the settings in which they differ, and the numbers they ended with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wenlu.errors import UsageError
from wenlu.rundir.listing import last_events
from wenlu.rundir.run import FINISHED, Run
from wenlu.rundir.settings import read_settings

ABSENT = ""
"""Shown where a run has no such setting."""


@dataclass(frozen=True)
class Number:
    """One number a run, None where a run has none."""

    name: str
    unit: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Comparison:
    """Attributes:
    settings: by name, one text a run.
    scores: of `evaluation.json`. last: what the runs logged last, by name.
    """

    runs: tuple[str, ...]
    settings: dict[str, tuple[str, ...]]
    scores: tuple[Number, ...]
    last: tuple[Number, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def compare_runs(paths: Sequence[Path]) -> Comparison:
    """Raises UsageError for a single run, DataError where one cannot be read."""
    if len(paths) < 2:
        raise UsageError(f"{paths[0]}: is one run; name two or more to compare")
    runs = [Run.open(path) for path in paths]
    settings = [read_settings(path) for path in paths]
    names = dict.fromkeys(name for each in settings for name in each)
    differing = {name: tuple(each.get(name, ABSENT) for each in settings) for name in names}
    return Comparison(
        runs=tuple(map(str, paths)),
        settings={name: values for name, values in differing.items() if len(set(values)) > 1},
        scores=_aligned([_scores(path) for path in paths]),
        last=_aligned([_last(run) for run in runs]),
    )


_Row = dict[str, tuple[float, str]]


def _scores(run: Path) -> _Row:
    """Value and unit of each score, by name; none where the run was not evaluated."""
    try:
        metrics = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["metrics"]
        return {row["name"]: (float(row["value"]), str(row.get("unit", ""))) for row in metrics}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _last(run: Run) -> _Row:
    events, _ = last_events(run)
    newest = max(events.values(), key=lambda event: event.step, default=None)
    row: _Row = {}
    if newest is not None:
        row = {
            "steps": (newest.step, ""),
            "tokens": (newest.tokens, ""),
            "seconds": (newest.seconds, "of training"),
        }
    numbers = {name: event for name, event in events.items() if name != FINISHED}
    return row | {name: (each.value, each.unit) for name, each in numbers.items() if not isinstance(each.value, str)}


def _aligned(rows: Sequence[_Row]) -> tuple[Number, ...]:
    found = {name: unit for row in reversed(rows) for name, (_, unit) in row.items()}
    order = dict.fromkeys(name for row in rows for name in row)
    return tuple(
        Number(name, found[name], tuple(row[name][0] if name in row else None for row in rows)) for name in order
    )
