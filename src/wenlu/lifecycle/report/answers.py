"""The section that says of answers what a single score hides: each label, confusions, and confidence."""

from __future__ import annotations

from wenlu.html import Content, Html, element, join, table
from wenlu.lifecycle.report.charts import reliability_chart
from wenlu.lifecycle.report.facts import Facts, Table
from wenlu.lifecycle.report.numbers import is_number, number
from wenlu.lifecycle.report.words import Words

SCORES = ("precision", "recall", "f1", "support")


def answers(facts: Facts, words: Words) -> Html | None:
    """Nothing where the evaluation tells no details, as of models that continue text."""
    details = facts.evaluation.get("details")
    if not isinstance(details, dict) or not details:
        return None
    parts = [_by_label(details, words), _confusion(details, words), _reliability(details, words)]
    note = element("p", words("answers.note"), class_="note") if any(parts) else None
    parts.append(_unit_tests(details, words))
    return join(note, *parts) if any(parts) else None


def _by_label(details: Table, words: Words) -> Html | None:
    rows = _rows(details, "per_class")
    if not rows:
        return None
    header = [words("answers.label"), *(words(f"answers.{name}") for name in SCORES)]
    body: list[list[Content]] = [[str(row.get("label")), *(number(row.get(name)) for name in SCORES)] for row in rows]
    return table(header, body, numeric=frozenset({1, 2, 3, 4}))


def _confusion(details: Table, words: Words) -> Html | None:
    matrix, labels = details.get("confusion"), [str(row.get("label")) for row in _rows(details, "per_class")]
    if not isinstance(matrix, list) or len(matrix) != len(labels):
        return None
    body: list[list[Content]] = [
        [label, *(number(count) for count in counts)] for label, counts in zip(labels, matrix, strict=True)
    ]
    shown = table(["", *labels], body, numeric=frozenset(range(1, len(labels) + 1)))
    return join(element("p", words("answers.confusion"), class_="note"), shown)


def _reliability(details: Table, words: Words) -> Html | None:
    points = [
        (float(each["confidence"]), float(each["accuracy"]), int(each["count"]))
        for each in _rows(details, "reliability")
        if is_number(each.get("confidence")) and is_number(each.get("accuracy"))
    ]
    if not points:
        return None
    label = words("answers.reliability")
    drawn = reliability_chart(points, label=label, x_label=words("answers.confidence"))
    return element("figure", drawn, element("figcaption", label), class_="plot")


def _unit_tests(details: Table, words: Words) -> Html | None:
    """How programs ended that a model wrote; or why none was run."""
    found = details.get("unit_tests")
    if not isinstance(found, dict):
        return None
    note = element("p", words("answers.unit_tests"), class_="note")
    ended = found.get("ended")
    if not isinstance(ended, dict):
        return join(note, element("p", str(found.get("skipped", ""))))
    body: list[list[Content]] = [[str(reason), number(count)] for reason, count in ended.items()]
    return join(note, table([words("answers.ended"), words("answers.programs")], body, numeric=frozenset({1})))


def _rows(details: Table, key: str) -> list[Table]:
    found = details.get(key)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
