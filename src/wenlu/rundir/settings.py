"""The settings of a run as a flat table."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wenlu.errors import DataError


def read_settings(run: Path) -> dict[str, str]:
    """Each setting of `config.toml` by its dotted name, as text; raises DataError."""
    path = run / "config.toml"
    try:
        return dict(_flat(tomllib.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}; name a run directory") from error


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
