"""Explanations as HTML: a fragment for notebooks, and a page that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wenlu.explanation.explanation import Explanation
from wenlu.html import Html, element
from wenlu.rundir import atomic


def fragment(explanation: Explanation) -> Html:
    """What a notebook shows."""
    return element("p", explanation.certificate.verdict)


def write_page(path: Path, explanations: Sequence[Explanation], *, name: str) -> None:
    """One file with all of them."""
    atomic.write_text(path, element("html", element("title", name), *(fragment(each) for each in explanations)))
