"""The runs under a folder, each in one row."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wenlu.errors import DataError, UsageError
from wenlu.rundir.events import Event
from wenlu.rundir.run import Run, State, is_run

DEPTH = 3
"""How far below the given folder a run is looked for; runs inside a run belong to it."""


@dataclass(frozen=True)
class RunRow:
    """What a list shows of a run; None where the run does not say.

    Attributes:
        created: ISO time. loss: the last logged, in nats a token.
        bits_per_byte: of the evaluation, else the last validation. bytes: size on the disk.
        problem: why something could not be read, else empty.
    """

    name: str
    path: str
    state: State
    steps: int
    tokens: int
    seconds: float
    loss: float | None
    bits_per_byte: float | None
    created: str | None
    bytes: int
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def list_runs(folder: Path) -> list[RunRow]:
    """The runs under `folder`, newest first; raises UsageError where there is no such folder."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; name the one that holds your runs: wenlu runs FOLDER")
    rows = [describe(path) for path in _runs_below(folder, DEPTH)]
    return sorted(rows, key=lambda row: (row.created or "", row.path), reverse=True)


def describe(path: Path) -> RunRow:
    """One run; raises DataError where `path` is none."""
    run = Run.open(path)
    last, problem = last_events(run)
    newest = max(last.values(), key=lambda event: event.step, default=None)
    settings, provenance, evaluation = (_table(path / name) for name in _PARTS)
    validated = last.get("validation")
    is_bits = validated is not None and validated.unit == "bits/byte"
    bits = evaluation.get("bits_per_byte", _value(last, "validation") if is_bits else None)
    return RunRow(
        name=str(settings.get("name", path.resolve().name)),
        path=str(path),
        state="resumable" if problem else run.state,
        steps=newest.step if newest else 0,
        tokens=newest.tokens if newest else 0,
        seconds=newest.seconds if newest else 0.0,
        loss=_value(last, "loss"),
        bits_per_byte=bits if isinstance(bits, float) else None,
        created=provenance.get("created"),
        bytes=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        problem=problem,
    )


def last_events(run: Run) -> tuple[dict[str, Event], str]:
    """The last event of each name, and what stopped the reading, if anything."""
    last: dict[str, Event] = {}
    try:
        for event in run.events():
            last[event.name] = event
    except DataError as error:
        return last, str(error)
    return last, ""


_PARTS = ("config.toml", "provenance.json", "evaluation.json")


def _runs_below(folder: Path, depth: int) -> Iterator[Path]:
    if is_run(folder):
        yield folder
    elif depth:
        for entry in sorted(folder.iterdir()):
            if entry.is_dir() and not entry.name.startswith("."):
                yield from _runs_below(entry, depth - 1)


def _value(last: dict[str, Event], name: str) -> float | None:
    value = last[name].value if name in last else None
    return value if isinstance(value, float) else None


def _table(path: Path) -> dict[str, Any]:
    """The content of a file of the run; empty where it is absent or damaged, which the report tells."""
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
