"""Whatever a power cut leaves of the writes, renames and removals of a save, a whole checkpoint is there.

The calls of a save are recorded, and replayed on a model of a disk that keeps only what fsync promised: the content of
a file whose fsync returned, and the names in a folder whose fsync returned; of later changes in a folder any number, in
their order, of each folder by itself; of later content nothing, a part, or other bytes. All such states are tried.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from wenlu.errors import WeightsError
from wenlu.rundir import atomic, checkpoint


@dataclass(eq=False)
class File:
    content: bytes
    synced: bool = False

    def after_power_loss(self) -> list[bytes]:
        """What may be found in it."""
        if self.synced:
            return [self.content]
        return [b"", self.content[: len(self.content) // 2], self.content[:-8] + bytes(8)]


@dataclass(eq=False)
class Folder:
    """Names as the disk has them for sure, and changes that it may have: None removes a name."""

    names: dict[str, File | Folder] = field(default_factory=dict)
    pending: list[dict[str, File | Folder | None]] = field(default_factory=list)

    def now(self, changes: int | None = None) -> dict[str, File | Folder]:
        """Names after so many of the pending changes, all by default."""
        names = dict(self.names)
        for change in self.pending[:changes]:
            for name, entry in change.items():
                if entry is None:
                    del names[name]
                else:
                    names[name] = entry
        return names


class Disk:
    """A model of the folder `root`, to which recorded calls are applied."""

    def __init__(self, root: Path) -> None:
        self.path, self.root = root, self._of(root)

    def _of(self, path: Path) -> Folder:
        entries = (
            (entry.name, self._of(entry) if entry.is_dir() else File(entry.read_bytes(), True))
            for entry in path.iterdir()
        )
        return Folder(dict(entries))

    def at(self, path: Path) -> Any:
        found: Any = self.root
        for part in path.relative_to(self.path).parts:
            found = found.now()[part]
        return found

    def apply(self, call: str, path: Path, *more: Any) -> None:
        if call == "write":
            self.at(path.parent).pending.append({path.name: File(more[0])})
        elif call == "mkdir":
            self.at(path.parent).pending.append({path.name: Folder()})
        elif call == "remove":
            self.at(path.parent).pending.append({path.name: None})
        elif call == "rename":
            assert more[0].parent == path.parent
            self.at(path.parent).pending.append({more[0].name: self.at(path), path.name: None})
        elif isinstance(synced := self.at(path), File):
            synced.synced = True
        else:
            synced.names, synced.pending = synced.now(), []

    def after_power_loss(self, folder: Folder | None = None) -> Iterator[dict[str, Any]]:
        """Each state that may be found: names with bytes, or with names."""
        folder = folder or self.root
        for changes in range(len(folder.pending) + 1):
            names = folder.now(changes)
            choices = [
                entry.after_power_loss() if isinstance(entry, File) else list(self.after_power_loss(entry))
                for entry in names.values()
            ]
            for chosen in itertools.product(*choices):
                yield dict(zip(names, chosen, strict=True))


def tensors(attempt: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(attempt)
    return {f"layers.{i}.weight": torch.randn(8, 8, generator=generator) for i in range(2)}


def save(folder: Path, step: int, attempt: int) -> None:
    checkpoint.save(folder, step, tensors(attempt), {"attempt": attempt}, keep=1)


@pytest.fixture(params=[2, 1], ids=["the next step", "the same step again"])
def calls(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Disk, list[tuple[Any, ...]]]:
    """A disk that holds step 1, and the calls of a second save, which replaces it."""
    folder = tmp_path / "checkpoints"
    save(folder, 1, attempt=1)
    disk, recorded = Disk(folder), []

    def record(name: str, call: str) -> None:
        real = getattr(os, name)

        def recording(path: Any, *more: Any, dir_fd: int | None = None, **settings: Any) -> Any:
            if isinstance(path, int):
                where = Path(os.readlink(f"/proc/self/fd/{path}"))
            else:
                where = Path(path) if dir_fd is None else Path(os.readlink(f"/proc/self/fd/{dir_fd}")) / path
            if where.is_relative_to(folder):
                recorded.append((call, where, *(Path(other) for other in more if call == "rename")))
            return real(path, *more, **({} if dir_fd is None else {"dir_fd": dir_fd}), **settings)

        monkeypatch.setattr(os, name, recording)

    for name, call in [("fsync", "sync"), ("mkdir", "mkdir"), ("rename", "rename"), ("replace", "rename")]:
        record(name, call)
    for name in ("unlink", "rmdir"):
        record(name, "remove")
    real_write = atomic.write_synced

    def write_synced(path: Path, data: bytes) -> None:
        recorded.append(("write", path, data))
        real_write(path, data)

    monkeypatch.setattr(checkpoint, "write_synced", write_synced)
    monkeypatch.setattr(checkpoint, "SHARD_BYTES", 300)
    save(folder, request.param, attempt=2)
    monkeypatch.undo()
    recorded = [call for call in recorded if call != ("mkdir", folder)]
    return disk, recorded


def build(path: Path, names: dict[str, Any]) -> None:
    path.mkdir()
    for name, entry in names.items():
        if isinstance(entry, bytes):
            (path / name).write_bytes(entry)
        else:
            build(path / name, entry)


def test_every_state_that_a_power_cut_may_leave_holds_a_whole_checkpoint(
    calls: tuple[Disk, list[tuple[Any, ...]]], tmp_path: Path
) -> None:
    disk, recorded = calls
    assert [call[0] for call in recorded].count("write") == 4, "two shards, the state, the manifest"
    states = list(disk.after_power_loss())
    for call in recorded:
        disk.apply(*call)
        states += disk.after_power_loss()
    assert len(states) > 80
    attempts = [newest(tmp_path / str(number), state) for number, state in enumerate(states)]
    assert set(attempts) == {1, 2}
    assert attempts[-1] == 2, "what was saved is there when the save has returned"


def newest(folder: Path, state: dict[str, Any]) -> int:
    """Which attempt the newest checkpoint is of, with the bits that were saved; and the next save works."""
    build(folder, state)
    found = checkpoint.newest_good(folder)
    assert found is not None, sorted(state)
    attempt: int = found.state["attempt"]
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in tensors(attempt).items())
    save(folder, 3, attempt=3)
    assert [path.name for path in folder.iterdir()] == ["step-00000003"]
    return attempt


def test_the_model_shows_what_a_save_without_syncs_would_lose(
    calls: tuple[Disk, list[tuple[Any, ...]]], tmp_path: Path
) -> None:
    disk, recorded = calls
    for call in recorded:
        if call[0] != "sync":
            disk.apply(*call)
    lost = 0
    for number, state in enumerate(itertools.islice(disk.after_power_loss(), 500)):
        build(tmp_path / str(number), state)
        try:
            lost += checkpoint.newest_good(tmp_path / str(number)) is None
        except WeightsError:
            lost += 1
    assert lost > 0
