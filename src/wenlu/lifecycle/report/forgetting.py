"""The section that says what training did to what the base could do before."""

from __future__ import annotations

from wenlu.html import Content, Html, element, join, table
from wenlu.lifecycle.report.facts import Facts, Table
from wenlu.lifecycle.report.numbers import is_number, number
from wenlu.lifecycle.report.results import score_name
from wenlu.lifecycle.report.words import Words

COLUMNS = ("name", "metric", "n", "before", "after", "difference")


def forgetting(facts: Facts, words: Words) -> Html | None:
    """Nothing where nothing older was measured."""
    told = facts.evaluation.get("forgetting")
    rows = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
    if not rows:
        return None
    header = [words(f"forgetting.{key}") for key in COLUMNS]
    header += [words("evaluation.interval", percent=facts.percent), words("forgetting.verdict")]
    return join(
        element("p", words("forgetting.note"), class_="note"),
        table(header, [_row(row, words) for row in rows], numeric=frozenset(range(2, 7))),
    )


def _row(row: Table, words: Words) -> list[Content]:
    ends = [row.get("low"), row.get("high")]
    interval = f"{number(ends[0])} – {number(ends[1])}" if all(map(is_number, ends)) else "–"
    numbers = [number(row.get(key)) for key in COLUMNS[2:]]
    verdict = str(row.get("verdict"))
    return [
        str(row.get("name")),
        score_name(str(row.get("metric")), words),
        *numbers,
        interval,
        words.known(f"forgetting.{verdict}", verdict),
    ]
