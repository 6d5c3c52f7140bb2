"""What a rung came to, and how it is kept in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wenlu.rundir import atomic

FILE = "rung.json"
FOLDER = "rungs"


@dataclass(frozen=True)
class Outcome:
    """Attributes:
    seconds: of fitting or training, with what was chosen on the way.
    milliseconds_per_text: of answering the held-out part, all at once.
    bytes: of what is kept on disk.
    chosen: settings that were chosen, and on what.
    told: what the model says of itself, as its strongest features.
    """

    name: str
    what: str
    seconds: float
    milliseconds_per_text: float
    bytes: int
    chosen: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        atomic.write_text(folder / FILE, json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Outcome:
        return cls(**json.loads((folder / FILE).read_text(encoding="utf-8")))


@dataclass(frozen=True)
class LeftOut:
    """A rung that was not climbed, and why."""

    name: str
    reason: str


def bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
