"""The section that says how good the model is on each source of the held-out examples."""

from __future__ import annotations

from wenlu.html import Content, Html, element, join, table
from wenlu.lifecycle.report.facts import Facts
from wenlu.lifecycle.report.numbers import is_number, number
from wenlu.lifecycle.report.results import score_name
from wenlu.lifecycle.report.words import Words


def sources(facts: Facts, words: Words) -> Html | None:
    """Nothing where all examples are of one source."""
    told = facts.evaluation.get("sources")
    rows = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
    if not rows:
        return None
    name = score_name(str(rows[0].get("metric")), words)
    header = [words("sources.source"), words("evaluation.n"), name, words("evaluation.interval", percent=facts.percent)]
    body: list[list[Content]] = []
    for row in rows:
        ends = [row.get("low"), row.get("high")]
        interval = f"{number(ends[0])} – {number(ends[1])}" if all(map(is_number, ends)) else "–"
        body.append([str(row.get("source")), number(row.get("n")), number(row.get("value")), interval])
    return join(element("p", words("sources.note"), class_="note"), table(header, body, numeric=frozenset(range(1, 4))))
