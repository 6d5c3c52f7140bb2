"""Energy as the machine itself counts it: processor packages through RAPL, and NVIDIA devices."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
_PACKAGE = re.compile(r"intel-rapl:\d+")  # also the name on AMD; intel-rapl:0:0 is a part of intel-rapl:0


class EnergyMeter:
    """Joules between two readings, of the whole machine: other programs' share is in them."""

    def __init__(self, powercap: Path = POWERCAP) -> None:
        entries = sorted(powercap.iterdir()) if powercap.is_dir() else []
        self._packages = [entry for entry in entries if _PACKAGE.fullmatch(entry.name)]
        self._last = self._read()

    def since_last(self) -> float | None:
        """None where nothing can be read: RAPL counters are often root's alone."""
        now, before = self._read(), self._last
        self._last = now
        both = [name for name in now if name in before]
        if not both:
            return None
        return sum((now[name] - before[name]) % self._range(name) for name in both) / 1e6

    def _read(self) -> Mapping[str, int]:
        """Microjoules by counter."""
        found = {str(package): number for package in self._packages if (number := _number(package / "energy_uj"))}
        return found | {f"nvidia {index}": 1000 * each for index, each in enumerate(_nvidia_millijoules())}

    def _range(self, name: str) -> int:
        """Where the counter begins anew."""
        return (_number(Path(name) / "max_energy_range_uj") or 2**63) + 1


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _nvidia_millijoules() -> list[int]:
    """Since the driver was loaded, by device; none without the driver or on devices before Volta."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return []
    count = ctypes.c_uint()
    if library.nvmlInit_v2() or library.nvmlDeviceGetCount_v2(ctypes.byref(count)):
        return []
    found = []
    for index in range(count.value):
        device, energy = ctypes.c_void_p(), ctypes.c_ulonglong()
        if library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)):
            continue
        if library.nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(energy)) == 0:
            found.append(energy.value)
    return found
