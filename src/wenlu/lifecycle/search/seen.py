"""What the trials of a search may see: everything that training reads of a life, and nothing of its test part."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from wenlu.rundir import atomic
from wenlu.tasks import MEMBERS

FOLDER = "seen"
_READ = ("data", "tokenizer", "tokens", "examples.json", "stages.json")
_HIDDEN = "test"


def show(root: Path) -> Path:
    """Make `root/seen` anew, with the same files under other names as far as the disk can; returns it."""
    with atomic.atomic_folder(root / FOLDER) as folder:
        _show(root, folder)
        for member in sorted((root / MEMBERS).iterdir()) if (root / MEMBERS).is_dir() else ():
            (folder / MEMBERS).mkdir(exist_ok=True)
            (folder / MEMBERS / member.name).mkdir()
            _show(member, folder / MEMBERS / member.name)
    return root / FOLDER


def _show(root: Path, folder: Path) -> None:
    for name in _READ:
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name, copy_function=_link, ignore=_hidden)
        elif (root / name).exists():
            _link(root / name, folder / name)


def _hidden(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if Path(name).stem == _HIDDEN]


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one that knows no links
        shutil.copy2(source, target)
