"""Tell a gradient that is far larger than those before it, so that one bad batch does not undo a thousand good ones.

The idea is that of SkipStep in OLMo-core; the median, unlike a mean, is not moved by the spikes themselves.
"""

from __future__ import annotations

import statistics
from collections import deque

WINDOW, LEAST = 100, 20


class Spikes:
    """The norms of the last 100 gradients; without a factor, nothing is a spike and nothing is remembered."""

    def __init__(self, factor: float | None) -> None:
        self.factor = factor
        self.norms: deque[float] = deque(maxlen=WINDOW)

    def meet(self, norm: float) -> bool:
        """Whether `norm` is over `factor` times the median of those before it, of which there must be 20.

        It is remembered either way: where gradients have become larger for good, the median follows.
        """
        if self.factor is None:
            return False
        is_spike = len(self.norms) >= LEAST and norm > self.factor * statistics.median(self.norms)
        self.norms.append(norm)
        return is_spike
