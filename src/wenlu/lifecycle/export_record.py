"""The file that says that a folder is an export, which a later one may replace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wenlu import __version__
from wenlu.errors import UsageError
from wenlu.rundir import atomic

RECORD = "export.json"


def write_record(folder: Path, content: Mapping[str, Any], *, name: str) -> None:
    """Write what was exported, and the numbers of its check, into the folder that will be called `name`."""
    record = {"wenlu": __version__, **content, "path": name}
    atomic.write_text(folder / RECORD, json.dumps(record, ensure_ascii=False, indent=2) + "\n")


def refuse_foreign(out: Path) -> None:
    """Raise UsageError for a folder that holds something else, or a file."""
    if out.is_dir() and any(out.iterdir()) and not (out / RECORD).is_file():
        raise UsageError(f"{out}: holds something that is no export (no {RECORD} in it); choose another --out")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; --out names a folder")
