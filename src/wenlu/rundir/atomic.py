"""Write files and folders that are whole under their final name, or absent.

The order that survives a crash at any moment: write under a temporary name beside the target, flush, fsync,
rename, fsync the parent folder.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from wenlu.errors import ResourceError

_TEMPORARY = re.compile(r"\.(.+)\.tmp-[0-9a-f]{32}")


def write_text(path: Path, text: str) -> None:
    """Replace `path` by UTF-8 `text`, at once and durably; raises ResourceError and leaves the old file as it was."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, at once and durably; raises ResourceError and leaves the old file as it was."""
    temporary = temporary_name(path)
    try:
        write_synced(temporary, data)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise failed_to_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Fill a temporary folder in the `with` block; at its end the folder replaces `path`, durably.

    Where the block or the disk fails, `path` stays as it was and the temporary folder is removed; an error of
    the disk becomes a ResourceError.
    """
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        yield temporary
        _sync_tree(temporary)
        if path.exists():
            path.rename(temporary_name(path))
        temporary.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise failed_to_write(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    remove_leftovers(path.parent, of=path.name)


def temporary_name(path: Path) -> Path:
    """A fresh hidden name beside `path`, which `remove_leftovers` knows."""
    return path.with_name(f".{path.name}.tmp-{uuid4().hex}")


def remove_leftovers(folder: Path, of: str = "") -> None:
    """Remove what dead writers left in `folder`, of one target only if named; the caller is its only writer."""
    for entry in folder.iterdir():
        match = _TEMPORARY.fullmatch(entry.name)
        if match and of in ("", match.group(1)):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


def is_leftover(name: str) -> bool:
    """Whether a file or folder name is one of `temporary_name`."""
    return _TEMPORARY.fullmatch(name) is not None


def write_synced(path: Path, data: bytes) -> None:
    """Write `data` to a new file and wait until the disk has it; raises OSError."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in `folder`; raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def failed_to_write(path: Path, error: OSError) -> ResourceError:
    """The message for a write that the disk refused."""
    return ResourceError(
        f"{path}: could not be written: {error.strerror or error}; what was there before is untouched. "
        "Free some space or choose another folder with --out"
    )


def _sync_tree(folder: Path) -> None:
    for directory, _, files in os.walk(folder):
        for name in files:
            with (Path(directory) / name).open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(directory))
