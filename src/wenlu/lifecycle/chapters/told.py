"""What a chapter came to, in plain data, for people and programs alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Told:
    """One chapter.

    Attributes:
        folder: of what it made. seconds: that it took.
        metrics: as `evaluation.json` has them; of several systems each under its name.
        lines: what it found, a sentence each.
        page: the page that shows it, in `folder`.
    """

    name: str
    title: str
    verb: str
    folder: Path
    metrics: tuple[dict[str, Any], ...] = ()
    lines: tuple[str, ...] = ()
    page: str | None = None
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "folder": str(self.folder)}

    @classmethod
    def of_json(cls, value: dict[str, Any]) -> Told:
        return cls(
            **{
                **value,
                "folder": Path(value["folder"]),
                "metrics": tuple(value["metrics"]),
                "lines": tuple(value["lines"]),
            }
        )


@dataclass(frozen=True)
class Chapters:
    """What `wenlu run` came to with a file of chapters.

    Attributes:
        path: the folder with a folder for each.
        served: the models that the last chapter served, to be served again.
    """

    path: Path
    chapters: tuple[Told, ...]
    served: tuple[str, ...] = field(default=())

    @property
    def seconds(self) -> float:
        return sum(each.seconds for each in self.chapters)

    def to_json(self) -> dict[str, Any]:
        return {
            "run": str(self.path),
            "seconds": round(self.seconds, 1),
            "served": list(self.served),
            "chapters": [each.to_json() for each in self.chapters],
        }
