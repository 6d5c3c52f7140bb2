"""Restart the command with glibc tunables that make large buffers cheap.

Training frees and takes the same large buffers at every step. By default glibc returns them to the system, and
each step pays for fresh pages. Kept in huge pages they cost nothing, but glibc reads its tunables only when a
process starts.
"""

from __future__ import annotations

import os
import platform
import sys

VARIABLE = "GLIBC_TUNABLES"
TUNABLES = {
    "glibc.malloc.hugetlb": "1",  # transparent huge pages
    "glibc.malloc.mmap_max": "0",  # no mapping of its own for a large buffer
    "glibc.malloc.trim_threshold": str(2**40),  # nothing goes back to the system
}


def is_active() -> bool:
    """Whether this process runs with every tunable set."""
    return TUNABLES.items() <= dict(_parse(os.environ.get(VARIABLE, ""))).items()


def set_for_children() -> bool:
    """Add the tunables to the environment; False where that is needless or impossible.

    The user's own tunables win: where any of ours is already set to something else, nothing happens.
    """
    current = dict(_parse(os.environ.get(VARIABLE, "")))
    if platform.libc_ver()[0] != "glibc" or current.keys() & TUNABLES.keys():
        return False
    os.environ[VARIABLE] = ":".join(f"{name}={value}" for name, value in {**current, **TUNABLES}.items())
    return True


def restart_with_tunables() -> None:
    """Replace this process by itself with the tunables added, and say so; returns where there is nothing to add."""
    if not set_for_children():
        return
    sys.stderr.write(
        "wenlu: starting again so that freed memory is kept in huge pages, which trains faster; "
        'train.allocator="as-is" leaves this out\n'
    )
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _parse(text: str) -> list[tuple[str, str]]:
    pairs = (item.partition("=") for item in text.split(":") if item)
    return [(name, value) for name, _, value in pairs]
