"""What a check says: a name, a verdict, what it found, and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["pass", "warning", "failure"]


@dataclass(frozen=True)
class Finding:
    """Of one check.

    Attributes:
        name: of the check, by which `wenlu check --json` and the guide call it.
        found: a sentence with the numbers.
        fix: what to do, in one sentence; empty where nothing is to be done.
        numbers: what was measured, by name.
    """

    name: str
    verdict: Verdict
    found: str
    fix: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Numbers that are not finite are null: JSON knows none."""
        numbers = {name: value if math.isfinite(value) else None for name, value in self.numbers.items()}
        return {"name": self.name, "verdict": self.verdict, "found": self.found, "fix": self.fix, "numbers": numbers}


def graded(value: float, *, warn: float, fail: float) -> Verdict:
    """The verdict on a share of which less is better."""
    return "failure" if value >= fail else "warning" if value >= warn else "pass"
