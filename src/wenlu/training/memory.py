"""How much memory is left, and how to go on with less of it.

A processor's memory does not run out with an error: Linux ends the process. So what is left is looked at between steps,
and compared with what the next step will need.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch

from wenlu.errors import ResourceError

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
RESERVE_BYTES, RESERVE_SHARE = 64 << 20, 0.02
"""What is to stay free, the larger of the two; the share is of the limit."""

_TEXTS = ("not enough memory", "can't allocate memory", "out of memory", "bad_alloc")


class OutOfMemory(ResourceError):
    """A step needs more memory than there is, even with one row a forward pass; nothing of it was applied."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator raised it, that of torch on any device or Python's own."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _TEXTS)


def free_bytes(device: torch.device) -> int | None:
    """What this process may still take; None where nobody says."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu" or not (PROC / "meminfo").exists():
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    addresses = [] if limit == resource.RLIM_INFINITY else [limit - _fields(PROC / "self/status")["VmSize"]]
    return min(left for left, _ in [*_limits(), *((left, 0) for left in addresses)])


class Watermark:
    """Tells before a step whether it would come too near to the limit, from the peak of the steps before it.

    The kernel's peak is of the whole life of the process, so it says something of training only once it has grown.
    """

    def __init__(self) -> None:
        self._works = (PROC / "self/status").exists()
        self._peak = _fields(PROC / "self/status")["VmHWM"] if self._works else 0
        self._rows = 0

    def is_near(self, rows: int) -> bool:
        """Whether a step of `rows` a forward pass would leave less than the reserve."""
        if not self._works:
            return False
        status = _fields(PROC / "self/status")
        if status["VmHWM"] > self._peak:
            self._peak, self._rows = status["VmHWM"], rows
        growth = max(0, self._peak - status["VmRSS"]) * rows / self._rows if self._rows else 0
        return any(left < growth + max(RESERVE_BYTES, RESERVE_SHARE * limit) for left, limit in _limits())


def memory_use(device: torch.device) -> dict[str, float]:
    """Bytes of main memory now and at the most so far, where the system tells, and at the most on a CUDA device."""
    status = _fields(PROC / "self/status") if (PROC / "self/status").exists() else {}
    names = {"VmRSS": "memory", "VmHWM": "memory_peak"}
    found = {name: float(status[field]) for field, name in names.items() if field in status}
    if device.type == "cuda":
        found["device_memory_peak"] = float(torch.cuda.max_memory_allocated(device))
    return found


def reset_peak(device: torch.device) -> None:
    """Let `memory_use` tell the most from now on, where the system allows it."""
    with suppress(OSError):
        (PROC / "self/clear_refs").write_text("5")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _limits() -> Iterator[tuple[int, int]]:
    """Bytes left and in all: of the machine, and of each control group with a limit that this process is in."""
    machine = _fields(PROC / "meminfo")
    yield machine["MemAvailable"], machine["MemTotal"]
    for line in (PROC / "self/cgroup").read_text().splitlines() if (PROC / "self/cgroup").exists() else ():
        _, controllers, name = line.split(":", 2)
        if not controllers:
            yield from _group(CGROUPS, name, "memory.max", "memory.current", "file")
        elif "memory" in controllers.split(","):
            yield from _group(CGROUPS / "memory", name, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache")


def _group(root: Path, name: str, limit: str, usage: str, cache: str) -> Iterator[tuple[int, int]]:
    """Of the group and those around it; pages of files count as free, since the kernel takes them back first."""
    folder = root / name.lstrip("/")
    for group in (folder, *folder.parents):
        bound = _number(group / limit)
        if bound is not None and bound < 1 << 60:  # version 1 says so many where there is none
            yield bound - (_number(group / usage) or 0) + _stat(group).get(cache, 0), bound
        if group == root:
            return


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _stat(group: Path) -> dict[str, int]:
    try:
        lines = (group / "memory.stat").read_text().splitlines()
    except OSError:
        return {}
    return {name: int(value) for name, value in (line.split() for line in lines)}


def _fields(path: Path) -> dict[str, int]:
    """Fields of a file of /proc that are given in kB, in bytes."""
    words = (line.split() for line in path.read_text().splitlines())
    return {part[0].rstrip(":"): int(part[1]) * 1024 for part in words if part[2:] == ["kB"]}
