"""The cache of everything fetched: `$WENLU_CACHE`, else `~/.cache/wenlu`.

Whatever appears under its final name is whole: it is written beside it under a temporary name, then renamed.
Two processes may fetch the same thing at once; the first rename wins and the other copy is thrown away.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from wenlu.errors import DataError, ResourceError


def cache_folder() -> Path:
    chosen = os.environ.get("WENLU_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "wenlu"


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_SCRATCH = ".fetch-"
_ABANDONED_SECONDS = 24 * 3600


def _sweep(root: Path) -> None:
    """Remove what killed processes left behind a day ago or earlier."""
    for path in root.glob(f"{_SCRATCH}*"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder on the cache's own disk, removed afterwards; raises ResourceError where none can be made."""
    root = cache_folder()
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=root))
    _sweep(root)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full disk or a missing permission into an error that names the cache."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(
                f"{path}: the disk is full; free some space or set WENLU_CACHE to another folder"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise ResourceError(
                f"{path}: cannot write there ({error.strerror}); set WENLU_CACHE to a folder of yours"
            ) from error
        raise


def publish(folder: Path, final: Path) -> None:
    """Give a finished folder its final name; one that is there already stays."""
    with writing(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(final)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise


RECORD = ".wenlu.json"
"""Stands in each fetched folder: where it came from, and the sha256 of each file in it."""


def write_record(folder: Path, facts: dict[str, Any], files: dict[str, str]) -> None:
    """Record `facts` and the digests of `files` (path below the folder -> sha256)."""
    text = json.dumps({**facts, "files": files}, ensure_ascii=False, indent=0, sort_keys=True)
    (folder / RECORD).write_text(text, encoding="utf-8")


def read_record(folder: Path) -> dict[str, Any] | None:
    """What `write_record` wrote; None where nothing was fetched yet."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise DataError(f"{folder}: its record {RECORD} is damaged; delete the folder to fetch it again") from error
    return record


def verify(root: Path, files: dict[str, str], *, folder: Path) -> None:
    """Check the files below `root` against their digests; raises DataError that names the first that differs."""
    for name, expected in files.items():
        path = root / name
        if not path.is_file():
            raise DataError(f"{path}: gone from the cache; delete {folder} to fetch it again")
        if sha256_of(path) != expected:
            raise DataError(
                f"{path}: changed since it was fetched (sha256 is not {expected}); delete {folder} to fetch it again"
            )
