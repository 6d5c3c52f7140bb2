"""The report of a run: one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

from pathlib import Path

from wenlu.lifecycle.report.facts import REPORT, read_facts
from wenlu.lifecycle.report.page import page
from wenlu.lifecycle.report.words import Language, Words
from wenlu.rundir import atomic

__all__ = ["write_report"]


def write_report(run_folder: Path, language: Language) -> Path:
    """Write `report.html` into a run directory, from what is there; returns its path.

    Parts that are missing or unreadable are left out, and the report says so. Raises ResourceError where the
    file cannot be written.
    """
    path = run_folder / REPORT
    atomic.write_text(path, page(read_facts(run_folder), Words(language), run_folder.resolve().name))
    return path
