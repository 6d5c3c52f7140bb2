"""The section that shows what augmentation made of the training part, and whether labels still fit."""

from __future__ import annotations

from wenlu.html import Content, Html, element, join, table
from wenlu.lifecycle.report.facts import Facts, Table
from wenlu.lifecycle.report.numbers import is_number, number
from wenlu.lifecycle.report.words import Words

COLUMNS = ("way", "texts", "unchanged", "held_out", "judged", "kept")


def augmentation(facts: Facts, words: Words) -> Html | None:
    """Nothing where no text was changed."""
    ways, examples = (_rows(facts.augmented, key) for key in ("ways", "examples"))
    if not ways:
        return None
    header = [*(words(f"augmentation.{key}") for key in COLUMNS), words("evaluation.interval", percent="95%")]
    header.append(words("augmentation.right"))
    shown = [_example(row, words) for row in examples]
    told = [words(f"augmentation.{key}") for key in ("way", "before", "after", "kept")]
    return join(
        element("p", words("augmentation.note"), class_="note"),
        table(header, [_way(row) for row in ways], numeric=frozenset(range(1, len(header)))),
        table(told, shown) if shown else None,
    )


def _way(row: Table) -> list[Content]:
    found = row.get("kept")
    kept: Table = found if isinstance(found, dict) else {}
    ends = [kept.get("low"), kept.get("high")]
    interval = f"{number(ends[0])} – {number(ends[1])}" if all(map(is_number, ends)) else "–"
    counts = [number(row.get(key)) for key in COLUMNS[1:4]]
    told = [number(kept.get("judged")), number(kept.get("share")), interval, number(kept.get("right"))]
    return [str(row.get("way")), *counts, *told]


def _example(row: Table, words: Words) -> list[Content]:
    kept = row.get("kept")
    said = "–" if kept is None else words("augmentation.yes" if kept else "augmentation.no")
    texts = (element("bdi", str(row.get(key, ""))) for key in ("before", "text"))
    return [str(row.get("way")), *texts, said]


def _rows(content: Table, key: str) -> list[Table]:
    found = content.get(key)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
