"""The page of statistics, and the tables at the terminal."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Literal

import pytest
from rich.console import Console

from wenlu.cli.data import render
from wenlu.config import check
from wenlu.corpus.page import page
from wenlu.corpus.prepare import DataConfig, DataSummary, prepare

EVIL = "<script>alert(1)</script> \u202e & [bold]x[/bold]"


@pytest.fixture
def summary(tmp_path: Path) -> DataSummary:
    texts = [f"line {i} of a text that is here to be counted, number {i * i}" for i in range(40)]
    rows = [{"text": text} for text in [*texts, EVIL, "今天天气很好，我们去公园散步吧。"]]
    path = tmp_path / "c.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    steps = ["language", {"step": "length", "min_characters": 45}]
    settings = {"train": {"path": str(path), "name": EVIL}, "steps": steps, "split_by": "random"}
    return prepare(check(DataConfig, settings, where="test"), tmp_path / "out", seed=0)


class Outline(HTMLParser):
    """Open tags are closed in order; what would reach outside the page is noted."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_is_whole_offline_and_shows_foreign_text_as_text(
    summary: DataSummary, language: Literal["en", "zh"]
) -> None:
    text = page(summary, language)
    outline = Outline()
    outline.feed(text)
    assert outline.open == outline.links == []
    assert outline.seen >= {"svg", "table", "details", "title", "figure"}
    assert "script" not in outline.seen
    assert not [word for word in ("url(", "@import", "\u202e") if word in text]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert f'<html lang="{language}">' in text


def test_the_chinese_page_is_chinese(summary: DataSummary) -> None:
    text = re.sub(r"<style>.*?</style>|<pre>.*?</pre>", "", page(summary, "zh"), flags=re.DOTALL)
    for words in ("丢弃的记录", "各部分之间的重叠", "长度", "语言", "来源"):
        assert words in text
    assert not [word for word in ("Overlap", "Dropped", "Languages") if word in text]


def test_numbers_of_the_page_are_those_of_the_summary(summary: DataSummary) -> None:
    text = page(summary)
    (drop,) = summary.dropped
    assert f"{summary.read} records read · {summary.kept} kept · {drop.records} dropped" in text
    assert "too short" in text
    assert "near-duplicates may lie on both sides" in text


def test_terminal_tables_show_splits_overlap_drops_and_notes(summary: DataSummary) -> None:
    console = Console(width=100, record=True, file=StringIO())
    console.print(render(summary))
    shown = console.export_text()
    assert f"{summary.read} records read, {summary.kept} kept" in shown
    for words in ("train", "validation", "test", "overlap", "length", "too short", "near-duplicates may lie on both"):
        assert words in shown
