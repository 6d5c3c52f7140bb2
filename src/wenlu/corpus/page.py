"""The statistics of prepared data as one HTML page that needs no network."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from html import escape
from string import Template
from typing import Literal

from wenlu.corpus.statistics import DataSummary, Overlap, SplitSummary

Say = Callable[[str], str]
"""From English words to those of the page's language."""
Row = list[str | int]

_MOST_ROWS = 20
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_CHINESE = {
    "Data": "数据",
    "records read": "条记录读入",
    "kept": "保留",
    "dropped": "丢弃",
    "Splits": "划分",
    "split": "部分",
    "records": "记录",
    "characters": "字符",
    "bytes": "字节",
    "clusters": "近似簇",
    "median length": "长度中位数",
    "longest": "最长",
    "Length in characters": "长度（字符）",
    "up to": "至",
    "Languages": "语言",
    "Sources": "来源",
    "Overlap between splits": "各部分之间的重叠",
    "of": "其中",
    "also in": "也在",
    "exact": "完全相同",
    "near-duplicates": "近似重复",
    "shared n-grams": "共有 n 元组",
    "Near-duplicates among kept records": "保留记录中的近似重复",
    "Jaccard threshold": "Jaccard 阈值",
    "exact duplicates": "完全重复",
    "clusters of two or more": "两条以上的簇",
    "records in them": "其中的记录",
    "largest cluster": "最大的簇",
    "Dropped records": "丢弃的记录",
    "step": "步骤",
    "reason": "原因",
    "examples": "示例",
    "nothing was dropped": "没有丢弃任何记录",
    "An n-gram is 13 words, or 50 characters in Chinese.": "n 元组指 13 个词；中文为 50 个字符。",
    "Notes": "说明",
    "no text": "无文本",
}

_PAGE = Template("""<!doctype html>
<html lang="$lang"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title><style>
:root { --paper: #fbfaf7; --ink: #23262b; --soft: #5d6470; --line: #e3e0d8; --accent: #a5431c; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15171a; --ink: #e6e3dc; --soft: #a2a8b1; --line: #31353b; --accent: #f0936a; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.6 system-ui, "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
h1, h2 { line-height: 1.25; } h2 { margin: 2.5rem 0 .6rem; font-size: 1.2rem; } p { margin: .4rem 0; }
.soft, figcaption, th { color: var(--soft); font-size: .88rem; font-weight: 500; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem 1.1rem .3rem 0; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
td.n, th.n { text-align: right; }
figure { margin: 1rem 0 0; } svg { width: 100%; max-width: 36rem; height: auto; display: block; }
svg rect { fill: var(--accent); } svg text { fill: var(--soft); font-size: 11px; }
details { margin: .3rem 0; } summary { cursor: pointer; } pre { white-space: pre-wrap; overflow-wrap: anywhere;
  margin: .2rem 0 .8rem; padding-left: .8rem; border-left: 2px solid var(--line); font-size: .82rem; }
@media print { body { max-width: none; padding: 0; } details > * { display: block; } figure { break-inside: avoid; } }
</style></head><body>
$body
</body></html>
""")


def page(summary: DataSummary, language: Literal["en", "zh"] = "en") -> str:
    """The page as text."""

    def say(words: str) -> str:
        return _CHINESE[words] if language == "zh" else words

    lost = sum(drop.records for drop in summary.dropped)
    facts = summary.duplicates
    counted = f"{summary.read:,} {say('records read')} · {summary.kept:,} {say('kept')} · {lost:,} {say('dropped')}"
    parts = [
        f"<h1>{say('Data')}</h1><p>{counted}</p>",
        *_notes(summary.notes, say("Notes")),
        f"<h2>{say('Splits')}</h2>",
        _splits(summary, say),
        f"<h2>{say('Length in characters')}</h2>",
        *(_histogram(name, split, say) for name, split in summary.splits.items()),
        *_counts(summary, "languages", say("Languages")),
        *_counts(summary, "sources", say("Sources")),
        *_overlap(summary.overlap, say),
        f"<h2>{say('Near-duplicates among kept records')}</h2>",
        _table(
            [say("Jaccard threshold"), say("exact duplicates"), say("clusters of two or more"), say("records in them"),
             say("largest cluster")],
            [[f"{facts.threshold:g}", facts.exact, facts.clusters, facts.records, facts.largest]],
        ),
        f"<h2>{say('Dropped records')}</h2>",
        *_dropped(summary, say),
    ]  # fmt: skip
    return _PAGE.substitute(lang=language, title=say("Data"), body="\n".join(parts))


def _splits(summary: DataSummary, say: Say) -> str:
    heads = ("split", "records", "characters", "bytes", "clusters", "median length", "longest")
    rows: list[Row] = [
        [name, s.records, s.characters, s.bytes, s.clusters, s.length_quantiles["median"], s.length_quantiles["max"]]
        for name, s in summary.splits.items()
    ]
    return _table([say(head) for head in heads], rows)


def _histogram(name: str, split: SplitSummary, say: Say) -> str:
    """Bars over lengths that double from one to the next."""
    first = next((i for i, (_, records) in enumerate(split.length_histogram) if records), 0)
    bars = split.length_histogram[first:]
    highest = max(records for _, records in bars)
    width, height, foot = 560, 110, 16
    step = width / max(len(bars), 8)
    drawn = []
    for i, (bound, records) in enumerate(bars):
        tall = (height - 20) * records / highest
        middle = step * (i + 0.5)
        drawn.append(
            f'<rect x="{step * i + 2:.1f}" y="{height - tall:.1f}" width="{step - 4:.1f}" height="{tall:.1f}">'
            f"<title>{say('up to')} {bound:,}: {records:,} {say('records')}</title></rect>"
            f'<text x="{middle:.1f}" y="{height + foot - 4}" text-anchor="middle">{_short(bound)}</text>'
        )
        if records:
            drawn.append(
                f'<text x="{middle:.1f}" y="{height - tall - 4:.1f}" text-anchor="middle">{_short(records)}</text>'
            )
    label = f"{name}: {say('Length in characters')}"
    return (
        f'<figure><svg viewBox="0 0 {width} {height + foot}" role="img" aria-label="{escape(label)}">'
        f"{''.join(drawn)}</svg>"
        f"<figcaption>{_text(name)}</figcaption></figure>"
    )


def _counts(summary: DataSummary, what: Literal["languages", "sources"], title: str) -> Iterator[str]:
    """How many records of each split have which value; the commonest only."""
    total = Counter[str]()
    for split in summary.splits.values():
        total.update(split.languages if what == "languages" else split.sources)
    if not total:
        return
    rows: list[Row] = []
    for value, _ in total.most_common(_MOST_ROWS):
        of = [split.languages if what == "languages" else split.sources for split in summary.splits.values()]
        rows.append([value, *(counts.get(value, 0) for counts in of)])
    yield f"<h2>{title}</h2>"
    yield _table(["", *summary.splits], rows)


def _overlap(overlaps: Sequence[Overlap], say: Say) -> Iterator[str]:
    if not overlaps:
        return
    yield f"<h2>{say('Overlap between splits')}</h2>"
    heads = ("of", "also in", "records", "exact", "near-duplicates", "shared n-grams")
    rows: list[Row] = [
        [o.held_out, o.other, o.records, o.exact, o.near_duplicates, f"{100 * o.ngrams:.2f} %"] for o in overlaps
    ]
    yield _table([say(head) for head in heads], rows)
    yield f'<p class="soft">{say("An n-gram is 13 words, or 50 characters in Chinese.")}</p>'


def _dropped(summary: DataSummary, say: Say) -> Iterator[str]:
    if not summary.dropped:
        yield f"<p>{say('nothing was dropped')}</p>"
        return
    yield _table(
        [say("step"), say("reason"), say("records")],
        [[d.step, d.reason, d.records] for d in summary.dropped[:_MOST_ROWS]],
    )
    for drop in summary.dropped[:_MOST_ROWS]:
        found = [e for e in summary.examples if (e.step, e.reason) == (drop.step, drop.reason)]
        shown = "".join(f'<p class="soft">{_text(e.id)}</p><pre>{_text(e.text) or say("no text")}</pre>' for e in found)
        title = f"{_text(drop.step)}: {_text(drop.reason)} ({say('examples')})"
        yield f"<details><summary>{title}</summary>{shown}</details>"


def _notes(notes: Sequence[str], title: str) -> Iterator[str]:
    if notes:
        yield f"<h2>{title}</h2>"
    for note in notes:
        yield f"<p>{_text(note)}</p>"


def _table(heads: Sequence[str], rows: Sequence[Row]) -> str:
    numeric = [all(isinstance(row[i], int) for row in rows) for i in range(len(heads))]

    def cell(tag: str, content: str | int, number: bool) -> str:
        shown = f"{content:,}" if isinstance(content, int) else _text(content)
        return f'<{tag} class="n">{shown}</{tag}>' if number else f"<{tag}>{shown}</{tag}>"

    def line(tag: str, row: Row) -> str:
        return f"<tr>{''.join(cell(tag, content, n) for content, n in zip(row, numeric, strict=True))}</tr>"

    return (
        f'<div class="scroll"><table>{line("th", list(heads))}{"".join(line("td", row) for row in rows)}</table></div>'
    )


def _short(number: int) -> str:
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return str(number)


def _text(text: str) -> str:
    """Text as markup; characters that could not be seen, or would turn the line around, become visible."""
    return escape(_CONTROL.sub("\ufffd", text))
