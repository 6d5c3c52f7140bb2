"""How much memory this process holds."""

from __future__ import annotations

import re
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")
_FIELDS = re.compile(r"^(VmRSS|VmHWM):\s+(\d+) kB$", re.MULTILINE)
_NAMES = {"VmRSS": "memory", "VmHWM": "memory_peak"}


def memory_use(device: torch.device) -> dict[str, float]:
    """Bytes of main memory now and at the most so far, where the system tells, and at the most on a CUDA device."""
    status = STATUS.read_text(encoding="ascii", errors="replace") if STATUS.exists() else ""
    found = {_NAMES[field]: 1024.0 * int(amount) for field, amount in _FIELDS.findall(status)}
    if device.type == "cuda":
        found["device_memory_peak"] = float(torch.cuda.max_memory_allocated(device))
    return found
