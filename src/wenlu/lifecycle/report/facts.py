"""What a run directory tells the report; a part that is absent or unreadable is named, never an error."""

from __future__ import annotations

import json
import struct
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wenlu.corpus.statistics import STATISTICS, DataSummary
from wenlu.errors import DataError
from wenlu.lifecycle.report.charts import Mark, Values
from wenlu.lifecycle.report.numbers import is_number
from wenlu.progress import Progress
from wenlu.rundir.atomic import is_leftover
from wenlu.rundir.events import EventLog

Table = dict[str, Any]
REPORT = "report.html"


@dataclass(frozen=True)
class Series:
    """One name of the event log, in order: training tokens, values, and the value's unit."""

    tokens: Values
    values: Values
    unit: str


@dataclass(frozen=True)
class Facts:
    """Everything a report shows.

    Attributes:
        absent: parts that the run does not have, and why: `("evaluation.json", "")`, `("samples.json", "line 3 …")`.
        sizes: bytes of each file of the run, and of each folder in it.
        steps, tokens, seconds: how far the training came.
    """

    settings: Table
    provenance: Table
    statistics: DataSummary | None
    evaluation: Table
    samples: list[Table]
    architectures: list[Table]
    costs: list[Table]
    transfer: list[Table]
    augmented: Table
    series: dict[str, Series]
    steps: int
    tokens: int
    seconds: float
    parameters: int | None
    sizes: dict[str, int]
    absent: tuple[tuple[str, str], ...]

    @property
    def percent(self) -> str:
        """How sure the intervals are: 95%."""
        settings = self.evaluation.get("settings")
        confidence: Any = settings.get("confidence") if isinstance(settings, dict) else None
        return f"{100 * confidence:g}%" if is_number(confidence) else "95%"


class Reader:
    """Reads the parts of a run directory and remembers which are absent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.absent: list[tuple[str, str]] = []

    def table(self, name: str, *, optional: bool = False) -> Table:
        if optional and not (self.folder / name).exists():
            return {}
        content = self._parsed(name)
        if content is not None and not isinstance(content, dict):
            self.absent.append((name, "not a table"))
        return content if isinstance(content, dict) else {}

    def rows(self, name: str, *, optional: bool = False) -> list[Table]:
        if optional and not (self.folder / name).exists():
            return []
        content = self._parsed(name)
        if content is not None and not isinstance(content, list):
            self.absent.append((name, "not a list"))
        return [row for row in content if isinstance(row, dict)] if isinstance(content, list) else []

    def series(self) -> tuple[dict[str, Series], int, int, float]:
        """The logged series by name, and the last step, tokens and seconds."""
        log = EventLog(self.folder / "events.jsonl")
        points: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        units: dict[str, str] = {}
        last = (0, 0, 0.0)
        if not log.path.exists():
            self.absent.append((log.path.name, ""))
        try:
            for event in log.read(_Notes(self.absent)):
                last = (event.step, event.tokens, event.seconds)
                if not isinstance(event.value, str):
                    points[event.name].append((event.tokens, event.value))
                    units[event.name] = event.unit
        except DataError as error:
            self.absent.append((log.path.name, str(error)))
        series = {}
        for name, pairs in points.items():
            columns = np.array(pairs, dtype=np.float64).T
            series[name] = Series(columns[0], columns[1], units[name])
        return series, *last

    def statistics(self) -> DataSummary | None:
        name = f"data/{STATISTICS}"
        if not (self.folder / name).exists():
            self.absent.append((name, ""))
            return None
        try:
            return DataSummary.open(self.folder / "data")
        except (OSError, DataError) as error:
            self.absent.append((name, str(error)))
            return None

    def parameters(self) -> int | None:
        """Numbers in the saved weights, from the headers of the files; a tied matrix counts once."""
        try:
            return sum(map(_numbers_in, (self.folder / "model").glob("*.safetensors"))) or None
        except (OSError, ValueError, struct.error) as error:
            self.absent.append(("model", str(error)))
            return None

    def sizes(self) -> dict[str, int]:
        """Bytes by name of each entry of the run; folders with all that they hold end in a slash."""
        found = {}
        for entry in sorted(self.folder.iterdir()):
            if entry.name == REPORT or entry.name.startswith(".") or is_leftover(entry.name):
                continue
            if entry.is_dir():
                found[f"{entry.name}/"] = sum(path.stat().st_size for path in entry.rglob("*") if path.is_file())
            else:
                found[entry.name] = entry.stat().st_size
        return found

    def _parsed(self, name: str) -> Any:
        path = self.folder / name
        try:
            text = path.read_text(encoding="utf-8")
            return tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        except FileNotFoundError:
            self.absent.append((name, ""))
        except (OSError, ValueError, RecursionError) as error:
            self.absent.append((name, str(error)))
        return None


def read_facts(folder: Path) -> Facts:
    reader = Reader(folder)
    series, steps, tokens, seconds = reader.series()
    return Facts(
        settings=reader.table("config.toml"),
        provenance=reader.table("provenance.json"),
        statistics=reader.statistics(),
        evaluation=reader.table("evaluation.json"),
        samples=reader.rows("samples.json"),
        architectures=reader.rows("architectures.json", optional=True),
        transfer=reader.rows("transfer.json", optional=True),
        augmented=reader.table("augmented.json", optional=True),
        costs=reader.rows("profile/costs.json", optional=True),
        series=series,
        steps=steps,
        tokens=tokens,
        seconds=seconds,
        parameters=reader.parameters(),
        sizes=reader.sizes(),
        absent=tuple(reader.absent),
    )


def mark(label: str, row: Table, *, value: str, is_main: bool = False) -> Mark | None:
    """A row with a number under `value` and an interval under low and high; None where it has no number."""
    if not is_number(row.get(value)) or not np.isfinite(row[value]):
        return None
    ends = [row[end] if is_number(row.get(end)) and np.isfinite(row[end]) else row[value] for end in ("low", "high")]
    return Mark(label, float(row[value]), float(ends[0]), float(ends[1]), is_main)


class _Notes(Progress):
    def __init__(self, absent: list[tuple[str, str]]) -> None:
        self._absent = absent

    def warn(self, message: str) -> None:
        self._absent.append(("events.jsonl", message))


def _numbers_in(path: Path) -> int:
    """How many numbers a safetensors file holds: 8 bytes of length, then JSON with the shapes."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(min(length, 1 << 27)))
    shapes = (tensor["shape"] for name, tensor in header.items() if name != "__metadata__")
    return sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes)
