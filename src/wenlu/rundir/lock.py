"""At most one process writes a run; the kernel frees the lock of a process that dies."""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path

from wenlu.errors import ResourceError


class Lock:
    """An advisory lock on a file that holds the owner's process id."""

    def __init__(self, path: Path) -> None:
        """Take the lock; raises ResourceError that names the process which holds it."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = _read_pid(self._descriptor)
            self._close()
            raise ResourceError(
                f"{path.parent}: process {owner} is writing this run; wait until it ends, stop it with "
                f"`kill {owner}`, or choose another folder with --out"
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        close = weakref.WeakMethod(self._close)
        # a forked worker that outlives its killed parent would else keep the run locked
        os.register_at_fork(after_in_child=lambda: (method := close()) and method())

    def release(self) -> None:
        """Free the lock; a second call does nothing."""
        if self._descriptor >= 0:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def holder(path: Path) -> int | None:
    """The process id that holds the lock of this file, None where nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_pid(descriptor)
    finally:
        os.close(descriptor)
    return None


def _read_pid(descriptor: int) -> int:
    return int(os.pread(descriptor, 32, 0) or b"0")
