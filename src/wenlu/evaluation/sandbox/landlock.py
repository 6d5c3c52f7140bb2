"""Landlock: rules on files that a process lays upon itself, without any privilege (Linux 5.13 and later)."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable

from wenlu.evaluation.sandbox import kernel

_VERSION_FLAG = 1
_PATH_BENEATH = 1
_TRUNCATE_VERSION, _DEVICES_VERSION, _SCOPE_VERSION = 3, 5, 6

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_FILES = (1 << 15) - 1
"""All that version 3 knows: execute, read, write, list, make, remove, link and truncate."""
_DEVICES = 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_MAKE_DEVICES = 1 << 6 | 1 << 9 | 1 << 11
_TCP = 0b11
_SIGNALS_AND_ABSTRACT_SOCKETS = 0b11


class _Handled(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def restrict(*, read: Iterable[str], write: str) -> None:
    """Let this process open files below `read` to read, below `write` for all, and no others.

    Newer kernels also forbid it to open TCP connections and to send signals to others. Raises OSError where the
    kernel is too old: before version 3 it does not watch over files that are cut short.
    """
    version = kernel.call(kernel.LANDLOCK_CREATE_RULESET, None, 0, _VERSION_FLAG)
    if version < _TRUNCATE_VERSION:
        raise OSError(errno.ENOSYS, f"Landlock has version {version} here; {_TRUNCATE_VERSION} is needed")
    files = _FILES | (_DEVICES if version >= _DEVICES_VERSION else 0)
    scoped = version >= _SCOPE_VERSION
    handled = _Handled(files, _TCP if scoped else 0, _SIGNALS_AND_ABSTRACT_SOCKETS if scoped else 0)
    size = ctypes.sizeof(_Handled) if scoped else 8
    rules = kernel.call(kernel.LANDLOCK_CREATE_RULESET, ctypes.byref(handled), size, 0)
    try:
        for path in read:
            _allow(rules, path, _READ)
        _allow(rules, write, files & ~_MAKE_DEVICES & ~_EXECUTE)
        _allow(rules, os.devnull, _READ_FILE | _WRITE_FILE)
        kernel.call(kernel.LANDLOCK_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: str, access: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        beneath = _Beneath(access, parent)
        kernel.call(kernel.LANDLOCK_ADD_RULE, rules, _PATH_BENEATH, ctypes.byref(beneath), 0)
    finally:
        os.close(parent)
