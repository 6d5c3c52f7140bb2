"""The system calls that Python has no function for, by number through the C library.

This file and those that it serves run in a fresh interpreter that has nothing else loaded, so they import little.
"""

from __future__ import annotations

import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

MOUNT_SETATTR = 442  # from 424 on a number is the same on every processor
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = (
    *(0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000),
)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 0x1, 0x2, 0x4, 0x1000, 0x4000, 0x40000
MNT_DETACH = 2

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 22, 36, 38
_CAPABILITY_VERSION_3 = 0x20080522


def call(number: int, *arguments: object) -> int:
    """The result of system call `number`; integers, bytes and pointers are arguments; raises OSError."""
    given = [ctypes.c_long(item) if isinstance(item, int) else item for item in arguments]
    return _checked(_LIBC.syscall(ctypes.c_long(number), *given), f"system call {number}")


def prctl(option: int, value: object = 0) -> None:
    given = ctypes.c_ulong(value) if isinstance(value, int) else value
    zero = ctypes.c_ulong(0)
    mode = ctypes.c_ulong(2) if option == PR_SET_SECCOMP else given  # the filter is its third argument
    rest = given if option == PR_SET_SECCOMP else zero
    _checked(_LIBC.prctl(option, mode, rest, zero, zero), f"prctl {option}")


def unshare(flags: int) -> None:
    _checked(_LIBC.unshare(flags), f"unshare {flags:#x}")


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    given = None if kind is None else kind.encode()
    result = _LIBC.mount(source.encode(), target.encode(), given, ctypes.c_ulong(flags), options.encode())
    _checked(result, f"mount {target}")


def unmount(target: str, flags: int) -> None:
    _checked(_LIBC.umount2(target.encode(), flags), f"umount {target}")


def drop_capabilities() -> None:
    """Give up every privilege of this process for good, also that of a root user."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _checked(_LIBC.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
