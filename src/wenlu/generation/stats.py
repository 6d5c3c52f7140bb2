"""What an engine does and holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PageStats:
    """Of the memory for keys and values.

    Attributes:
        used: pages that requests hold. cached: that are kept for prompts to come alone. free: the others.
        nbytes: of used and cached ones. budget: of all.
    """

    used: int
    cached: int
    free: int
    nbytes: int
    budget: int


NO_PAGES = PageStats(used=0, cached=0, free=0, nbytes=0, budget=0)
"""Of models that remember otherwise."""


@dataclass(frozen=True)
class EngineStats:
    """Attributes:
    running: requests that have a place. waiting: that do not, those included that had to give theirs up.
    preemptions: how often one had to.
    prefix_hits: prompt tokens that were not read again, because a prompt before began so. generated: tokens.
    guessed: tokens that were read before they were chosen. accepted: those of them that then were.
    prompt_tokens: of the prompts that were read, those included that were not read again.
    """

    running: int
    waiting: int
    preemptions: int
    prefix_hits: int
    generated: int
    guessed: int
    accepted: int
    prompt_tokens: int
    pages: PageStats
