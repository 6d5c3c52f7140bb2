"""What happened during a run: an append-only file of JSON lines, a checksum each.

    {"step":10,"tokens":81920,"seconds":3.2,"name":"loss","value":2.25,"unit":"nats","crc":"5f3a0c11"}

`crc` is the CRC-32 of the line's bytes as they would be without it. A number that JSON cannot write is the
string "nan", "inf" or "-inf".
"""

from __future__ import annotations

import json
import math
import os
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from wenlu.errors import DataError
from wenlu.progress import QUIET, Progress
from wenlu.rundir.atomic import failed_to_write, sync_folder, temporary_name

_CRC = re.compile(rb',"crc":"([0-9a-f]{8})"}\Z')
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True, slots=True)
class Event:
    """A measured value, or a note if `value` is text.

    Attributes:
        step: optimizer steps done when it was logged.
        tokens: training tokens seen by then.
        seconds: training time by then, on the wall clock, over all resumptions.
    """

    step: int
    tokens: int
    seconds: float
    name: str
    value: float | str
    unit: str


class EventLog:
    """The events of one run; any number of readers, one writer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None

    def append(self, event: Event) -> None:
        """Add a line; it survives the death of this process, and after `sync` that of the machine."""
        try:
            if self._file is None:
                self._cut_torn_line()
                self._file = self.path.open("ab", buffering=0)
            rest = memoryview(encode(event))
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.close()  # half a line may be written: the next event cuts it off
            raise failed_to_write(self.path, error) from error

    def read(self, progress: Progress = QUIET) -> Iterator[Event]:
        """The events in order; a torn last line is left out with a warning, any other bad line raises DataError."""
        for _, event in self._lines(progress):
            yield event

    def truncate_after(self, step: int) -> None:
        """Forget events of later steps, so that a run resumed at `step` does not tell them twice."""
        self.close()
        try:
            self._keep(lambda event: event.step <= step)
        except OSError as error:
            raise failed_to_write(self.path, error) from error

    def sync(self) -> None:
        """Wait until the disk has every event; to be called before a checkpoint is saved."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _cut_torn_line(self) -> None:
        """What follows a torn line would make it a corrupt one in the middle."""
        whole = sum(len(line) for line, _ in self._lines(QUIET))
        if self.path.is_file() and self.path.stat().st_size > whole:
            os.truncate(self.path, whole)

    def _keep(self, wanted: Callable[[Event], bool]) -> None:
        if not self.path.exists():
            return
        temporary = temporary_name(self.path)
        try:
            with temporary.open("xb") as file:
                file.writelines(line for line, event in self._lines(QUIET) if wanted(event))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
            sync_folder(self.path.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def _lines(self, progress: Progress) -> Iterator[tuple[bytes, Event]]:
        if not self.path.is_file():
            return
        bad = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if bad:
                    raise DataError(
                        f"{self.path}, line {bad}: does not match its checksum, so the file was changed or damaged; "
                        "restore it from a copy, or delete that line to go on without it"
                    )
                event = decode(line)
                if event is None:
                    bad = number
                else:
                    yield line, event
        if bad:
            progress.warn(f"{self.path}, line {bad}: the last line was not written to its end and is left out")


def encode(event: Event) -> bytes:
    """One line, newline included."""
    value = event.value
    if isinstance(value, float) and not math.isfinite(value):
        value = str(value)
    fields = {
        "step": event.step,
        "tokens": event.tokens,
        "seconds": event.seconds,
        "name": event.name,
        "value": value,
        "unit": event.unit,
    }
    body = json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return b'%b,"crc":"%08x"}\n' % (body[:-1], zlib.crc32(body))


def decode(line: bytes) -> Event | None:
    """The event of a line, or None where the line is not whole."""
    whole = line.endswith(b"\n")
    match = _CRC.search(line[:-1])
    if not whole or match is None:
        return None
    body = line[: match.start()] + b"}"
    if zlib.crc32(body) != int(match.group(1), 16):
        return None
    fields = json.loads(body)
    if isinstance(fields["value"], str):
        fields["value"] = _NON_FINITE.get(fields["value"], fields["value"])
    return Event(**fields)
