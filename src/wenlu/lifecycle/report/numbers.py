"""Numbers as a reader wants them."""

from __future__ import annotations

import math
from typing import Any

_SCALES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_BYTES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def is_number(value: Any) -> bool:
    """A number that can be computed with: no truth value, and no integer that a float cannot hold."""
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**1000)


def number(value: Any, digits: int = 4) -> str:
    """A measured value: `digits` significant ones, thousands in groups, a true minus sign; no number stays as it is."""
    if not is_number(value):
        return "–" if value is None else str(value)
    if not math.isfinite(value):
        return str(value)
    if isinstance(value, int) or 10**digits <= abs(value) < 1e9:
        written = f"{round(value):,}"
    else:
        written = f"{value:.{digits}g}" if value and not 1e-4 <= abs(value) < 1e9 else _rounded(value, digits)
    return written.replace("-", "−", 1) if value < 0 else written


def amount(value: float) -> str:
    """A count with a scale: 4.9M."""
    for scale, name in _SCALES:
        if abs(value) >= scale * 0.9995:
            return f"{value / scale:.3g}{name}"
    return f"{value:.4g}"


def size(value: float) -> str:
    """A size in bytes: 9.4 MiB."""
    for scale, name in _BYTES:
        if value >= scale:
            return f"{value / scale:.3g} {name}" if value / scale < 1000 else f"{value / scale:,.0f} {name}"
    return f"{value:.0f} B"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers from `low` to `high`."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def _rounded(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    before = max(1, math.floor(math.log10(abs(value))) + 1)
    return f"{value:.{max(0, digits - before)}f}"
