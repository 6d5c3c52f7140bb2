"""An example of an evaluation, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Judged:
    """An example, which others are so like it that they count as one, and what a comparison may be cut by."""

    id: str
    cluster: str
    example: Any
    facts: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def source(self) -> str:
        return str(self.facts.get("source", ""))
