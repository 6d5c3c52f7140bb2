"""The section that says what the model read: splits, what was dropped, and what they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from wenlu.corpus.statistics import DataSummary
from wenlu.html import Content, Html, element, join, table
from wenlu.lifecycle.report.facts import Facts
from wenlu.lifecycle.report.numbers import number, size
from wenlu.lifecycle.report.words import Words

SHOWN = 12
"""Rows of a list that may be long; the rest is one row."""


def data(facts: Facts, words: Words) -> Html | None:
    if facts.statistics is None:
        return None
    found = facts.statistics
    note = words("data.note", kept=number(found.kept), read=number(found.read))
    if found.duplicates.clusters:
        note += words(
            "data.duplicates",
            records=number(found.duplicates.records),
            clusters=number(found.duplicates.clusters),
            threshold=f"{found.duplicates.threshold:g}",
        )
    groups = [_group(words(f"data.{name}"), content) for name, content in _tables(found, words)]
    return join(
        element("p", note, class_="note"),
        element("div", *groups, class_="groups two"),
        element("ul", *(element("li", line) for line in found.notes), class_="note") if found.notes else None,
    )


def _tables(found: DataSummary, words: Words) -> Iterator[tuple[str, Html]]:
    yield "splits", _splits(found, words)
    if found.dropped:
        yield "dropped", _dropped(found, words)
    if found.overlap:
        yield "overlap", _overlap(found, words)
    for name in ("languages", "sources"):
        counts = Counter[str]()
        for split in found.splits.values():
            counts.update(split.languages if name == "languages" else split.sources)
        if len(counts) > 1:
            yield name, _counts(counts, words)


def _splits(found: DataSummary, words: Words) -> Html:
    rows: list[list[Content]] = [
        [
            words.known(f"split.{name}", name),
            number(split.records),
            number(split.characters),
            size(split.bytes),
            number(split.length_quantiles.get("median")),
        ]
        for name, split in found.splits.items()
    ]
    header = [words(f"data.{key}") for key in ("split", "records", "characters", "bytes", "median")]
    return table(header, rows, numeric=frozenset({1, 2, 3, 4}))


def _dropped(found: DataSummary, words: Words) -> Html:
    rows: list[list[Content]] = [[drop.step, drop.reason, number(drop.records)] for drop in found.dropped[:SHOWN]]
    rest = sum(drop.records for drop in found.dropped[SHOWN:])
    if rest:
        rows.append([words("data.rest"), None, number(rest)])
    return table([words(f"data.{key}") for key in ("step", "reason", "records")], rows, numeric=frozenset({2}))


def _overlap(found: DataSummary, words: Words) -> Html:
    rows: list[list[Content]] = [
        [
            words.known(f"split.{pair.held_out}", pair.held_out),
            words.known(f"split.{pair.other}", pair.other),
            number(pair.exact),
            number(pair.near_duplicates),
            f"{100 * pair.ngrams:.2f} %",
        ]
        for pair in found.overlap
    ]
    header = [words(f"data.{key}") for key in ("held_out", "other", "exact", "near", "ngrams")]
    return table(header, rows, numeric=frozenset({2, 3, 4}))


def _counts(counts: Counter[str], words: Words) -> Html:
    rows: list[list[Content]] = [[name, number(count)] for name, count in counts.most_common(SHOWN)]
    rest = counts.total() - sum(count for _, count in counts.most_common(SHOWN))
    if rest:
        rows.append([words("data.rest"), number(rest)])
    return table([words("data.name"), words("data.records")], rows, numeric=frozenset({1}))


def _group(heading: str, content: Html) -> Html:
    return element("div", element("h3", heading), content, class_="group")
