"""Tell a tracker what `events.jsonl` holds, each event once: all of a finished run, or a run while it is written.

    python -m wenlu.rundir.trackers.follow RUN TRACKER

follows until its standard input ends, which training holds open; so nothing that a tracker does reaches training.
"""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from wenlu.rundir.events import Event, decode
from wenlu.rundir.lock import Lock
from wenlu.rundir.run import FINISHED
from wenlu.rundir.settings import read_settings
from wenlu.rundir.trackers import FOLDER, Subject, tracker

POLL_SECONDS = 1.0
SENT = "sent.json"


@dataclass(frozen=True)
class Sent:
    """How far a tracker was told: `events` of those at `step`, and all of earlier steps."""

    id: str
    step: int = -1
    events: int = 0


class Tail:
    """The events of a file that another process appends to, or replaces by a shorter one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode, self._offset = 0, 0
        self._step, self._place = -1, 0

    def new(self) -> Iterator[tuple[Event, int]]:
        """What came since the last call, each with its place among those of its step; all anew of another file."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            status = os.fstat(file.fileno())
            if (self._inode, self._offset) != (status.st_ino, min(self._offset, status.st_size)):
                self._inode, self._offset, self._step, self._place = status.st_ino, 0, -1, 0
            file.seek(self._offset)
            for line in file:
                event = decode(line)
                if event is None:  # being written
                    return
                self._offset += len(line)
                self._place = self._place + 1 if event.step == self._step else 1
                self._step = event.step
                yield event, self._place


def follow(run: Path, name: str, wait: Callable[[], bool] = lambda: False) -> int:
    """Bring the tracker up to date, again after each `wait` that returns True; returns how many events it was told.

    Raises:
        ResourceError: another process tells this tracker of this run.
        Exception: whatever the tracker raises.
    """
    folder = run / FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    lock = Lock(folder / ".lock")
    try:
        sent = _sent(folder)
        tail, count, again = Tail(run / "events.jsonl"), 0, True
        sink = tracker(name).open(_subject(run, folder, sent.id))
        while again:
            again = wait()
            before = count
            for event, place in tail.new():
                if (event.step, place) > (sent.step, sent.events) and event.name != FINISHED:
                    sink.write(event)
                    sent = replace(sent, step=event.step, events=place)
                    count += 1
            if count > before:
                sink.flush()
                _write(folder, sent)
        sink.close()
        return count
    finally:
        lock.release()


def _sent(folder: Path) -> Sent:
    path = folder / SENT
    if path.exists():
        return Sent(**json.loads(path.read_text(encoding="utf-8")))
    sent = Sent(uuid4().hex)
    _write(folder, sent)
    return sent


def _write(folder: Path, sent: Sent) -> None:
    temporary = folder / f"{SENT}.new"
    temporary.write_text(json.dumps(asdict(sent)), encoding="utf-8")
    temporary.replace(folder / SENT)


def _subject(run: Path, folder: Path, identity: str) -> Subject:
    settings = read_settings(run)
    created = json.loads((run / "provenance.json").read_text(encoding="utf-8")).get("created")
    return Subject(
        id=identity,
        name=settings.get("name", run.resolve().name),
        folder=folder,
        began=datetime.fromisoformat(created).timestamp() if created else 0.0,
        settings=settings,
    )


def _until_input_ends() -> bool:
    """Wait a little; whether training still holds the other end."""
    ready, _, _ = select.select([sys.stdin], [], [], POLL_SECONDS)
    return not ready


if __name__ == "__main__":
    os.nice(19)
    follow(Path(sys.argv[1]), sys.argv[2], _until_input_ends)
