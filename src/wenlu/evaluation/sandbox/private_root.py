"""A root folder of its own: Python's library and the system's, to read; an empty /tmp to write; nothing else."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterator

from wenlu.evaluation.sandbox import kernel

WORK = "/tmp"
_SYSTEM = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo")
_RDONLY, _NOSUID, _NODEV = 1, 2, 4
_RECURSIVE = 0x8000
_AT_FDCWD = -100


def libraries() -> list[str]:
    """Where the interpreter finds its modules, and these the shared libraries that they need."""
    return [path for path in (*sys.path, f"{sys.base_prefix}/lib", *_SYSTEM) if os.path.isdir(path)]


def enter(folder: str, *, uid: int, gid: int, work_bytes: int) -> None:
    """Make a new root at the empty `folder`, and go there; in a mount namespace of its own.

    Args:
        uid, gid: whom the folder /tmp in it belongs to.
        work_bytes: how much may be written there; it is memory.

    Raises OSError where the system does not allow it.
    """
    if os.uname().machine not in kernel.PIVOT_ROOT:
        raise OSError(errno.ENOSYS, "the number of pivot_root is not known for this processor")
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", folder, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
    for path in _outermost(libraries()):
        if os.path.islink(path):  # /lib is usr/lib on most systems
            os.symlink(os.readlink(path), folder + path)
            continue
        os.makedirs(folder + path)
        _bind(path, folder + path, _RDONLY | _NOSUID | _NODEV)
    os.mkdir(f"{folder}/dev")
    with open(f"{folder}/dev/null", "x"):
        pass
    _bind("/dev/null", f"{folder}/dev/null", _NOSUID)
    os.mkdir(folder + WORK)
    options = f"size={work_bytes},nr_inodes=4096,mode=700,uid={uid},gid={gid}"
    kernel.mount("tmpfs", folder + WORK, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)
    _set_flags(folder, _RDONLY, 0)
    os.chdir(folder)
    kernel.call(kernel.PIVOT_ROOT[os.uname().machine], b".", b".")  # the old root lies on top of the new one
    kernel.unmount(".", kernel.MNT_DETACH)
    os.chdir("/")


def _outermost(paths: list[str]) -> Iterator[str]:
    """Each path once, without those that lie inside another."""
    for path in sorted({os.path.normpath(path) for path in paths}):
        if not any(path.startswith(f"{other}/") for other in paths):
            yield path


def _bind(source: str, target: str, flags: int) -> None:
    kernel.mount(source, target, None, kernel.MS_BIND | kernel.MS_REC)
    _set_flags(target, flags, _RECURSIVE)


def _set_flags(path: str, flags: int, how: int) -> None:
    """Add to the mount's own flags, which `mount` would replace, and must not where another user set them."""
    attributes = (ctypes.c_uint64 * 4)(flags, 0, 0, 0)
    kernel.call(kernel.MOUNT_SETATTR, _AT_FDCWD, path.encode(), how, attributes, ctypes.sizeof(attributes))
