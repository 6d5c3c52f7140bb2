"""Which stages of a run are done, for which settings, inputs and code.

    stages.json   {"data": {"key": "…", "state": "done", "seconds": 3.1}, …}

A stage whose key is unchanged and done is skipped; one that is unchanged and started goes on; any other starts
anew. The key of a stage covers the keys of the stages before it, so a change reruns what follows.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wenlu
from wenlu.config import Config
from wenlu.rundir import atomic


class StageCache:
    """The file `stages.json` of a run; only the first of several processes writes it."""

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        self.writes = writes
        self.path = folder / "stages.json"
        self._entries: dict[str, dict[str, Any]] = json.loads(self.path.read_text()) if self.path.exists() else {}

    def is_done(self, stage: str, key: str) -> bool:
        return self._state(stage, key) == "done"

    def is_started(self, stage: str, key: str) -> bool:
        return self._state(stage, key) == "started"

    def facts(self, stage: str) -> dict[str, Any]:
        """What the stage chose when it started, and must choose again to go on."""
        facts: dict[str, Any] = self._entries.get(stage, {}).get("facts", {})
        return facts

    def choose(self, stage: str, facts: dict[str, Any]) -> None:
        """Keep what a started stage chose."""
        self._write(stage, {**self._entries[stage], "facts": facts})

    @contextmanager
    def running(self, stage: str, key: str) -> Iterator[None]:
        """Mark the stage as started, and as done where the block ends without an error."""
        facts = self.facts(stage) if self.is_started(stage, key) else {}
        self._write(stage, {"key": key, "state": "started", "facts": facts})
        begin = time.perf_counter()
        yield
        seconds = round(time.perf_counter() - begin, 2)
        self._write(stage, {**self._entries[stage], "state": "done", "seconds": seconds})

    def seconds(self) -> dict[str, float]:
        """How long each finished stage took."""
        return {name: entry["seconds"] for name, entry in self._entries.items() if entry["state"] == "done"}

    def _state(self, stage: str, key: str) -> str | None:
        entry = self._entries.get(stage, {})
        return entry["state"] if entry.get("key") == key else None

    def _write(self, stage: str, entry: dict[str, Any]) -> None:
        self._entries[stage] = entry
        if self.writes:
            atomic.write_text(self.path, json.dumps(self._entries, indent=2) + "\n")


def stage_key(settings: Sequence[Config], *, code: Sequence[str], inputs: Sequence[str]) -> str:
    """Hash of the settings of a stage, of the code in the named folders of the package, and of its inputs' keys."""
    digest = hashlib.blake2b(digest_size=16)
    for section in settings:
        digest.update(section.model_dump_json().encode())
    for part in (*code_digests(code), *inputs):
        digest.update(part.encode())
    return digest.hexdigest()


def code_digests(folders: Sequence[str]) -> list[str]:
    """A hash for each named folder or module of the package, over all its source files."""
    root = Path(wenlu.__file__).parent
    return [_digest_files(root, _sources(root, name)) for name in folders]


def _sources(root: Path, name: str) -> list[Path]:
    inside = (path for path in (root / name).rglob("*") if path.suffix in (".py", ".cpp", ".h"))
    return sorted([*inside, *root.glob(f"{name}.py")])


def _digest_files(root: Path, files: Sequence[Path]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for path in files:
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
