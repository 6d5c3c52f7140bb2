"""What the engine's process does and holds, in numbers."""

from __future__ import annotations

import os
from pathlib import Path

from wenlu.server.engine.residents import Residents
from wenlu.server.messages import Stats

_STATM = Path("/proc/self/statm")


def stats_of(residents: Residents, form_seconds: float, template_seconds: float, waiting: int) -> Stats:
    """Of all models, those that were dropped since the start included.

    Args:
        waiting: requests that no engine knows yet.
    """
    engines = [one.loaded.engine for one in residents.all if one.loaded is not None and one.loaded.engine is not None]
    now = [engine.stats() for engine in engines]
    ever = [*now, *residents.past]
    shares = [stats.pages.used / max(1, stats.pages.used + stats.pages.cached + stats.pages.free) for stats in now]
    return Stats(
        running=sum(stats.running for stats in now),
        waiting=waiting + sum(stats.waiting for stats in now),
        generated=sum(stats.generated for stats in ever),
        prompt_tokens=sum(stats.prompt_tokens for stats in ever),
        cached_tokens=sum(stats.prefix_hits for stats in ever),
        preemptions=sum(stats.preemptions for stats in ever),
        page_share=max(shares, default=0.0),
        resident_bytes=resident_bytes(),
        form_seconds=form_seconds,
        template_seconds=template_seconds,
        loads=residents.loads,
        drops=residents.drops,
    )


def resident_bytes() -> int:
    """Of this process; 0 where the system does not tell."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def available_bytes() -> int:
    """What the machine has free, or could have at once."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
