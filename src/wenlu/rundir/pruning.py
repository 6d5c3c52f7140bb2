"""What can be removed below a folder of runs, and its removal: never of a run that a process holds."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wenlu.errors import DataError, ResourceError, UsageError
from wenlu.rundir.atomic import failed_to_write, temporary_name
from wenlu.rundir.lock import Lock, holder
from wenlu.rundir.run import Run, is_run

LOCK = ".lock"
DAY = 86_400
_CHECKPOINT = re.compile(r"step-\d+")


@dataclass(frozen=True)
class Removal:
    """A checkpoint, or a whole run, that is not needed; `run` is locked while it is removed."""

    path: Path
    run: Path
    reason: str
    bytes: int

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path), "run": str(self.run)}


@dataclass(frozen=True)
class Plan:
    """What to remove, and which runs are left alone and why."""

    removals: tuple[Removal, ...]
    spared: tuple[tuple[Path, str], ...]

    @property
    def bytes(self) -> int:
        return sum(removal.bytes for removal in self.removals)


def plan_pruning(folder: Path, *, keep: int = 1, unfinished_days: float | None = None) -> Plan:
    """What `prune` removes below `folder`; nothing is changed.

    Args:
        keep: how many of a run's newest checkpoints stay; the newest that is whole stays in any case.
        unfinished_days: runs that are not finished and in which nothing was written for so long go as a whole; None:
            all stay.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; name the one that holds your runs: wenlu runs prune FOLDER")
    removals: list[Removal] = []
    spared: list[tuple[Path, str]] = []
    doomed: list[Path] = []
    for path in sorted({found.parent for found in folder.rglob("config.toml") if is_run(found.parent)}):
        if any(path.is_relative_to(other) for other in doomed):
            continue
        if owner := _owner(path):
            spared.append((path, f"process {owner} is writing it"))
            continue
        try:
            if unfinished_days is not None and _is_forsaken(path, unfinished_days):
                doomed.append(path)
                removals.append(Removal(path, path, f"unfinished, untouched for {unfinished_days:g} days", _size(path)))
            else:
                removals += _superfluous(path, keep)
        except DataError as error:
            spared.append((path, str(error)))
    return Plan(tuple(removals), tuple(spared))


def prune(removals: Sequence[Removal]) -> int:
    """Remove them; returns the bytes freed. Raises ResourceError where a run has got a writer, or the disk refuses."""
    freed = 0
    for removal in removals:
        if owner := _owner(removal.run):
            raise ResourceError(f"{removal.run}: process {owner} is writing it by now; {removal.path} stays")
        lock = Lock(removal.run / LOCK)
        try:
            gone = temporary_name(removal.path)  # never half removed under its name
            removal.path.rename(gone)
            shutil.rmtree(gone)
        except OSError as error:
            raise failed_to_write(removal.path, error) from error
        finally:
            lock.release()
        freed += removal.bytes
    return freed


def _owner(run: Path) -> int | None:
    """A process that writes this run, or one inside it."""
    return next(filter(None, (holder(lock) for lock in run.rglob(LOCK))), None)


def _is_forsaken(run: Path, days: float) -> bool:
    newest = max(entry.stat().st_mtime for entry in [run, *run.rglob("*")])
    return Run(run).state != "finished" and time.time() - newest > days * DAY


def _superfluous(run: Path, keep: int) -> list[Removal]:
    """Checkpoints of the run older than its newest ones, and than its newest whole one."""
    from wenlu.rundir.checkpoint import newest_good  # here, so that other uses do not wait for torch

    checkpoints = run / "checkpoints"
    named = [path for path in checkpoints.glob("step-*") if _CHECKPOINT.fullmatch(path.name)]
    paths = sorted(named, key=lambda path: int(path.name.removeprefix("step-")), reverse=True)
    if len(paths) <= keep:
        return []
    whole = newest_good(checkpoints)
    kept = {*paths[:keep], *([] if whole is None else [whole.path])}
    return [Removal(path, run, "an older checkpoint", _size(path)) for path in paths if path not in kept]


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())
