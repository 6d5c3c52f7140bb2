"""A folder: every file below it, sorted; hidden files and `__pycache__` are left out, links to folders not followed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from wenlu.corpus.reading import reading
from wenlu.corpus.source import FolderKind, SourceSpec

_ROOT = PurePosixPath()


def files_below(root: Path, folder: PurePosixPath = _ROOT) -> Iterator[PurePosixPath]:
    """Paths below `root`, folder by folder in the order of their names; only one folder's names are held at a time."""
    with reading(root / folder):
        entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        inner = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(root, inner)
        elif entry.is_file():
            yield inner


def _claims(folder: Path) -> bool:
    return folder.is_dir()


def _files(folder: Path, spec: SourceSpec) -> Iterator[PurePosixPath]:  # noqa: ARG001 (a folder has no settings)
    return files_below(folder)


KIND = FolderKind("folder", _claims, _files)
