"""A run: the directory that alone suffices to resume, compare, explain or serve a model."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from wenlu.errors import DataError, UsageError
from wenlu.progress import QUIET, Progress
from wenlu.rundir.atomic import failed_to_write, is_leftover, remove_leftovers, write_text
from wenlu.rundir.events import Event, EventLog
from wenlu.rundir.lock import Lock, holder

if TYPE_CHECKING:
    from torch import Tensor

    from wenlu.rundir.checkpoint import Checkpoint

State = Literal["running", "finished", "resumable"]

FINISHED = "finished"
"""Name of the event that ends a run."""

_LOCK = ".lock"


class Run:
    """A run directory; reading is free, the first write takes its lock.

    Attributes:
        path: the directory.
        log_file: its events.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log_file = EventLog(path / "events.jsonl")
        self._lock: Lock | None = None

    @classmethod
    def create(cls, path: Path, config_toml: str, provenance: Mapping[str, Any]) -> Self:
        """Make `path` a run and lock it; an existing run gets these settings and keeps everything else.

        Raises UsageError where `path` holds files and is no run, ResourceError where it cannot be written.
        """
        refuse_foreign_folder(path)
        run = cls(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise failed_to_write(path, error) from error
        run.claim()
        write_text(path / "provenance.json", json.dumps(provenance, ensure_ascii=False, indent=2) + "\n")
        write_text(path / "config.toml", config_toml)  # last: with it the folder is a run
        return run

    @classmethod
    def open(cls, path: Path) -> Self:
        """An existing run; raises DataError where `path` is none."""
        if not is_run(path):
            raise DataError(f"{path}: not a run (no config.toml and provenance.json in it); `wenlu runs` lists runs")
        return cls(path)

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def state(self) -> State:
        """Running while a process holds its lock, finished once each begun stage is done, resumable otherwise.

        A run without `stages.json` is finished when its last event says so.
        """
        if holder(self.path / _LOCK) is not None:
            return "running"
        stages = self.path / "stages.json"
        if stages.exists():
            entries = json.loads(stages.read_text(encoding="utf-8"))
            return "finished" if all(entry["state"] == "done" for entry in entries.values()) else "resumable"
        last = deque(self.log_file.read(), maxlen=1)
        return "finished" if last and last[0].name == FINISHED else "resumable"

    def claim(self) -> None:
        """Lock the run against other writers, and remove what a killed one left half written."""
        if self._lock is None:
            try:
                self._lock = Lock(self.path / _LOCK)
                remove_leftovers(self.path)
            except OSError as error:
                raise failed_to_write(self.path, error) from error

    def log(self, name: str, value: float | str, unit: str, *, step: int, tokens: int, seconds: float) -> None:
        """Append an event; on disk at once, safe from a power cut after `sync`."""
        self.claim()
        self.log_file.append(Event(step, tokens, seconds, name, value, unit))

    def events(self, progress: Progress = QUIET) -> Iterator[Event]:
        """All events in order; see `EventLog.read`."""
        return self.log_file.read(progress)

    def save_checkpoint(
        self,
        step: int,
        tensors: Mapping[str, Tensor],
        state: Mapping[str, Any],
        *,
        keep: int = 2,
        progress: Progress = QUIET,
    ) -> Checkpoint:
        """Make the events so far durable, then the checkpoint; see `checkpoint.save`."""
        from wenlu.rundir.checkpoint import save  # here, so that a run can be read without waiting for torch

        self.claim()
        self.log_file.sync()
        return save(self.checkpoints, step, tensors, state, keep=keep, progress=progress)

    def newest_checkpoint(self, progress: Progress = QUIET, *, up_to: int | None = None) -> Checkpoint | None:
        """The newest whole checkpoint, of steps up to `up_to` if given; see `checkpoint.newest_good`."""
        from wenlu.rundir.checkpoint import newest_good

        return newest_good(self.checkpoints, up_to=up_to, progress=progress)

    def forget_after(self, step: int) -> None:
        """Remove the events of later steps, so that a run resumed at `step` does not tell them twice."""
        self.claim()
        self.log_file.truncate_after(step)

    def sync(self) -> None:
        """Wait until the disk has every event."""
        self.log_file.sync()

    def finish(self, *, step: int, tokens: int, seconds: float) -> None:
        """Log that nothing is left to do."""
        self.log(FINISHED, 1, "", step=step, tokens=tokens, seconds=seconds)
        self.sync()

    def close(self) -> None:
        """Free the lock."""
        self.log_file.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _repr_html_(self) -> str:
        """A small table for notebooks: the last value of each event name."""
        last = {event.name: event for event in self.events()}
        rows = "".join(
            f"<tr><th>{escape(event.name)}</th><td>{escape(_short(event.value))} {escape(event.unit)}</td>"
            f"<td>step {event.step}</td></tr>"
            for event in last.values()
            if event.name != FINISHED
        )
        return f"<table><caption>{escape(self.path.name)}: {self.state}</caption>{rows}</table>"


class Follower(Run):
    """A run as all processes but the first see it: what they would write, the first one writes."""

    def claim(self) -> None:
        """The first process holds the lock."""

    def log(self, name: str, value: float | str, unit: str, *, step: int, tokens: int, seconds: float) -> None:
        """The first process tells it."""

    def forget_after(self, step: int) -> None:
        """The first process forgets."""


def is_run(path: Path) -> bool:
    return (path / "config.toml").is_file() and (path / "provenance.json").is_file()


def refuse_foreign_folder(path: Path) -> None:
    """Raise UsageError unless `path` is a run, empty, or not there yet."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path}: a file, not a folder; choose another one with --out")
    if not path.exists() or is_run(path):
        return
    ours = {_LOCK, "provenance.json"}  # what a creation that was killed leaves
    foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in ours and not is_leftover(entry.name))
    if foreign:
        raise UsageError(
            f"{path}: holds {foreign[0]!r}{' and more' if len(foreign) > 1 else ''} and is not a run; "
            "choose an empty or new folder with --out"
        )


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
