"""A glob such as `data/**/*.txt`: the files that match, sorted; `**` is any depth."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from wenlu.corpus.reading import reading
from wenlu.corpus.source import FolderKind, SourceSpec

_WILD = re.compile(r"[*?\[]")


def split_glob(text: str) -> tuple[str, str]:
    """The part of a path before the first wildcard, and the pattern below it; "" where there is none.

    A file whose name holds a wildcard character is taken as itself.
    """
    if _WILD.search(text) is None or os.path.exists(text):
        return text, ""
    parts = text.split("/")
    first = next(i for i, part in enumerate(parts) if _WILD.search(part))
    root = "/".join(parts[:first])
    return root or ("/" if text.startswith("/") else "."), "/".join(parts[first:])


def matching(root: Path, pattern: str) -> list[PurePosixPath]:
    """The files below `root` that match, sorted; unlike pathlib's, it raises where a folder may not be read."""
    found = set(_matching(root, PurePosixPath(), PurePosixPath(pattern).parts))
    return sorted(found, key=lambda path: path.parts)


def _matching(root: Path, folder: PurePosixPath, pattern: Sequence[str]) -> Iterator[PurePosixPath]:
    """What matches the parts of `pattern`; hidden names only where a part begins with a dot, as in a shell."""
    head, rest = pattern[0], pattern[1:]
    deep = head == "**"
    if deep and rest:
        yield from _matching(root, folder, rest)
    with reading(root / folder):
        entries = list(os.scandir(root / folder))
    for entry in entries:
        if not fnmatchcase(entry.name, "*" if deep else head) or entry.name.startswith(".") > head.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=not deep):
            if deep or rest:
                yield from _matching(root, folder / entry.name, pattern if deep else rest)
        elif entry.is_file() and not rest:
            yield folder / entry.name


def _claims(folder: Path) -> bool:  # noqa: ARG001 (the path's wildcard decides, not the folder)
    return False


def _files(folder: Path, spec: SourceSpec) -> Iterator[PurePosixPath]:
    _, pattern = split_glob(spec.path)
    return iter(matching(folder, pattern))


KIND = FolderKind("glob", _claims, _files)
