"""The section that says what each of several tasks gained or lost by sharing a model."""

from __future__ import annotations

from wenlu.html import Content, Html, element, join, table
from wenlu.lifecycle.report.facts import Facts, Table
from wenlu.lifecycle.report.numbers import is_number, number
from wenlu.lifecycle.report.results import score_name
from wenlu.lifecycle.report.words import Words

COLUMNS = ("member", "metric", "steps", "alone", "together", "difference", "effect")


def transfer(facts: Facts, words: Words) -> Html | None:
    """Nothing where no member was trained alone."""
    rows = [row for row in facts.transfer if "member" in row]
    if not rows:
        return None
    header = [words(f"transfer.{key}") for key in COLUMNS]
    header.insert(-1, words("evaluation.interval", percent=facts.percent))
    body = [_row(row, words) for row in rows]
    return join(
        element("p", words("transfer.note"), class_="note"), table(header, body, numeric=frozenset(range(2, 7)))
    )


def _row(row: Table, words: Words) -> list[Content]:
    found = row.get("difference")
    paired: Table = found if isinstance(found, dict) else {}
    ends = [paired.get("low"), paired.get("high")]
    effect = str(row.get("effect"))
    return [
        str(row["member"]),
        score_name(str(row.get("metric")), words),
        number(row.get("steps")),
        number(row.get("alone")),
        number(row.get("together")),
        number(paired.get("value")),
        f"{number(ends[0])} – {number(ends[1])}" if all(map(is_number, ends)) else "–",
        words.known(f"transfer.{effect}", effect),
    ]
