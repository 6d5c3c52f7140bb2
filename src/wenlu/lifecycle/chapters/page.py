"""The page of a life in chapters: what each came to, and where its own page is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wenlu import __version__
from wenlu.html import Content, Html, element, join, table
from wenlu.lifecycle import report
from wenlu.lifecycle.chapters.settings import ChaptersConfig
from wenlu.lifecycle.chapters.told import Told
from wenlu.lifecycle.report.facts import REPORT
from wenlu.lifecycle.report.numbers import number
from wenlu.lifecycle.report.page import POLICY
from wenlu.lifecycle.report.words import Language
from wenlu.rundir import atomic

WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "title": "Report of a whole life",
        "chapter": "chapter",
        "verb": "verb",
        "time": "time",
        "found": "what it came to",
        "whole": "{done} of {all} chapters, {time} in all.",
        "score": "score",
        "value": "value",
        "interval": "95 % interval",
        "n": "examples",
        "page": "Its own report",
        "settings": "Its settings",
        "seconds": "{seconds:.0f} s",
        "minutes": "{minutes:.1f} min",
        "footer": "Written by Wenlu {version}. The command that made this page goes on where it was stopped.",
    },
    "zh": {
        "title": "一个模型的一生",
        "chapter": "章",
        "verb": "命令",
        "time": "用时",
        "found": "结果",
        "whole": "共 {all} 章，已完成 {done} 章，用时 {time}。",
        "score": "指标",
        "value": "值",
        "interval": "95% 区间",
        "n": "样本数",
        "page": "本章报告",
        "settings": "本章设置",
        "seconds": "{seconds:.0f} 秒",
        "minutes": "{minutes:.1f} 分钟",
        "footer": "由文炉 Wenlu {version} 生成。再次运行同一命令，会从中断处继续。",
    },
}


def write_page(config: ChaptersConfig, out: Path, chapters: Sequence[Told]) -> Path:
    """Write `report.html` into `out`; raises ResourceError where it cannot be written."""
    path = out / REPORT
    atomic.write_text(path, page(config, out, chapters))
    return path


def page(config: ChaptersConfig, out: Path, chapters: Sequence[Told]) -> Html:
    """The whole document."""
    words = WORDS[config.language]
    seconds = sum(each.seconds for each in chapters)
    whole = words["whole"].format(done=len(chapters), all=len(config.chapters), time=_time(seconds, words))
    style = Path(report.__file__).with_name("style.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("title", f"{config.name} · {words['title']}"),
        element("style", Html(style)),
    )
    body = element(
        "body",
        element(
            "header",
            element("p", words["title"], class_="kind"),
            element("h1", element("bdi", config.name)),
            element("p", whole, class_="summary"),
        ),
        element("nav", *(element("a", each.title, href=f"#{each.name}") for each in chapters)),
        element("main", _overview(chapters, words), *(_chapter(each, out, words) for each in chapters)),
        element("footer", element("p", words["footer"].format(version=__version__))),
    )
    lang = "zh-Hans" if config.language == "zh" else "en"
    return join(Html("<!doctype html>\n"), element("html", head, body, lang=lang), Html("\n"))


def _overview(chapters: Sequence[Told], words: Mapping[str, str]) -> Html:
    header = [words["chapter"], words["verb"], words["time"], words["found"]]
    rows: list[list[Content]] = [
        [
            element("a", each.title, href=f"#{each.name}"),
            element("code", f"wenlu {each.verb}"),
            _time(each.seconds, words),
            _gist(each),
        ]
        for each in chapters
    ]
    return element("section", table(header, rows, numeric=frozenset({2})))


def _gist(told: Told) -> str:
    if told.lines:
        return told.lines[-1]
    return f"{told.metrics[0]['name']} {number(told.metrics[0]['value'])}" if told.metrics else ""


def _chapter(told: Told, out: Path, words: Mapping[str, str]) -> Html:
    links: list[Content] = []
    if told.page is not None:
        links.append(element("a", words["page"], href=f"{told.name}/{told.page}"))
    if (out / f"{told.name}.toml").is_file():
        links += [" · " if links else None, element("a", words["settings"], href=f"{told.name}.toml")]
    scores = None
    if told.metrics:
        header = [words["score"], words["value"], words["interval"], words["n"]]
        rows: list[list[Content]] = [_score(metric) for metric in told.metrics]
        scores = table(header, rows, numeric=frozenset({1, 2, 3}))
    return element(
        "section",
        element("h2", told.title),
        *(element("p", line) for line in told.lines),
        scores,
        element("p", *links, class_="note") if links else None,
        id=told.name,
    )


def _score(metric: Mapping[str, Any]) -> list[Content]:
    low, high, n = metric.get("low"), metric.get("high"), metric.get("n")
    interval = "" if low is None or high is None else f"{number(low)} – {number(high)}"
    value = metric.get("value")
    return [metric["name"], "–" if value is None else number(value), interval, "" if n is None else f"{n:,}"]


def _time(seconds: float, words: Mapping[str, str]) -> str:
    return words["seconds"].format(seconds=seconds) if seconds < 90 else words["minutes"].format(minutes=seconds / 60)
