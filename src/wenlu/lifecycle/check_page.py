"""What the checks found as one HTML page that needs no network, with what is trained on in colour."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from string import Template

from wenlu.training.checks import Finding, Piece, SeenRow

_WORDS = {
    "en": {
        "title": "Will it learn?",
        "pass": "pass",
        "warning": "warning",
        "failure": "failure",
        "rows": "The first rows",
        "trained": "trained on",
        "context": "read only",
        "padding": "padding",
        "answer": "answer",
    },
    "zh": {
        "title": "能学会吗？",
        "pass": "通过",
        "warning": "警告",
        "failure": "失败",
        "rows": "最前面的几行",
        "trained": "参与训练",
        "context": "只读",
        "padding": "填充",
        "answer": "答案",
    },
}
_PAGE = Template("""<!doctype html>
<html lang="$language"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
:root { color-scheme: light dark; --good: #1a7f37; --warn: #9a6700; --bad: #cf222e; --mark: #dafbe1; --ink: #116329 }
@media (prefers-color-scheme: dark) {
  :root { --good: #3fb950; --warn: #d29922; --bad: #f85149; --mark: #12361f; --ink: #7ee787 }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
td { padding: .35rem .6rem .35rem 0; vertical-align: top; border-top: 1px solid #8884 }
.pass { color: var(--good) } .warning { color: var(--warn) } .failure { color: var(--bad); font-weight: bold }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #8884; padding: .6rem; border-radius: .4rem }
.trained { background: var(--mark); color: var(--ink); font-weight: 600 } .padding { opacity: .5; font-style: italic }
ins { text-decoration: none; border-bottom: 2px solid var(--good) }
</style></head><body>
<h1>$title</h1>
<table>$findings</table>
<h2>$rows_title</h2>
<p><span class="trained">$trained</span> · <span>$context</span> · <span class="padding">$padding</span></p>
$rows
</body></html>
""")


def check_page(findings: Sequence[Finding], rows: Sequence[SeenRow], language: str) -> str:
    words = _WORDS.get(language, _WORDS["en"])
    return _PAGE.substitute(
        language=language,
        title=words["title"],
        rows_title=words["rows"],
        trained=words["trained"],
        context=words["context"],
        padding=words["padding"],
        findings="\n".join(_finding(finding, words[finding.verdict]) for finding in findings),
        rows="\n".join(_row(row, words["answer"]) for row in rows),
    )


def _finding(finding: Finding, verdict: str) -> str:
    fix = f"<br><em>{escape(finding.fix)}</em>" if finding.fix else ""
    return (
        f'<tr><td class="{finding.verdict}">{verdict}</td><td><code>{escape(finding.name)}</code></td>'
        f"<td>{escape(finding.found)}{fix}</td></tr>"
    )


def _row(row: SeenRow, answer: str) -> str:
    pieces = "".join(map(_piece, row.pieces))
    told = f'\n→ {answer}: <span class="trained">{escape(row.answer)}</span>' if row.answer else ""
    return f"<pre>{pieces}{told}</pre>"


def _piece(piece: Piece) -> str:
    target = f" <ins>→ {escape(piece.target)}</ins>" if piece.target else ""
    return f'<span class="{piece.kind}">{escape(piece.text)}{target}</span>'
