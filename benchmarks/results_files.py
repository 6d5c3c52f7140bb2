"""The files of `results.py` that no source reads by itself: Debian's descriptions, and LibreOffice's help in pairs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

FEWEST_WORDS = 40
"""Of a description that is worth summing up."""


def debian_synopses(folder: Path) -> Path:
    """Long descriptions of Debian's packages and their synopses: JSONL of `text`, `summary` and `package`, which it
    was built of.

    Needs apt on Debian, and the network at the first call. Descriptions that stand there twice are kept once.
    """
    path = folder / "debian-synopses.jsonl"
    if not path.exists():
        _write(path, _descriptions(folder / "apt"))
    return path


def libreoffice_pairs(folder: Path) -> Path:
    """Paragraphs of LibreOffice's help in Chinese and English: JSONL of `source`, `target` and `page`.

    Paired by page and the paragraph's own id; what is not translated, or holds no Chinese, is left out.
    """
    path = folder / "libreoffice-pairs.jsonl"
    if not path.exists():
        _write(path, _help_pairs())
    return path


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _descriptions(apt: Path) -> Iterator[dict[str, str]]:
    lists = apt / "lists"
    for name in (lists / "partial", apt / "cache" / "archives" / "partial"):
        name.mkdir(parents=True, exist_ok=True)
    own = ["-o", f"Dir::State::Lists={lists.resolve()}", "-o", f"Dir::Cache={(apt / 'cache').resolve()}"]
    subprocess.run(["apt-get", "update", "-qq", "-o", "Acquire::Languages=en", *own], check=True)
    sources: dict[str, str] = {}
    for index in sorted(lists.glob("*_main_binary-*_Packages*")):
        for stanza in _stanzas(index):
            sources[stanza["Package"]] = stanza.get("Source", stanza["Package"]).partition(" ")[0]
    seen = set()
    for index in sorted(lists.glob("*_main_i18n_Translation-en*")):
        for stanza in _stanzas(index):
            summary, _, body = stanza.get("Description-en", "").partition("\n")
            text = _flowing(body)
            if len(text.split()) >= FEWEST_WORDS and text not in seen:
                seen.add(text)
                yield {"text": text, "summary": summary, "package": sources.get(stanza["Package"], stanza["Package"])}


def _flowing(body: str) -> str:
    """A description without its indent: paragraphs as single lines, lists and examples line by line."""
    text = ""
    for line in body.split("\n"):
        if line.strip() == ".":
            text += "\n\n"
        elif line.startswith("  ") or line[1:2] in "*-":
            text += f"\n{line[1:]}"
        else:
            text += line if text and not text.endswith("\n") else line[1:]
    return text.strip()


def _stanzas(index: Path) -> Iterator[dict[str, str]]:
    """The stanzas of a control file, which apt may have compressed; a field's further lines keep their indent."""
    command = ["/usr/lib/apt/apt-helper", "cat-file", str(index)]
    text = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    for stanza in text.split("\n\n"):
        fields = re.findall(r"^(\S+): ?(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE)
        if fields:
            yield dict(fields)


def _help_pairs() -> Iterator[dict[str, str]]:
    from wenlu.hub import resolve

    english = resolve("package:libreoffice-help-en-us").path / "usr/share/libreoffice/help/en-US/text"
    chinese = resolve("package:libreoffice-help-zh-cn").path / "usr/share/libreoffice/help/zh-CN/text"
    seen = set()
    for page in sorted(english.rglob("*.html")):
        relative = page.relative_to(english)
        if not (chinese / relative).exists():
            continue
        ours, theirs = _paragraphs(chinese / relative), _paragraphs(page)
        for id, text in ours.items():
            pair = text, theirs.get(id)
            if pair[1] and text != pair[1] and re.search(r"[\u4e00-\u9fff]", text) and pair not in seen:
                seen.add(pair)
                yield {"source": text, "target": pair[1], "page": str(relative)}


def _paragraphs(page: Path) -> dict[str, str]:
    """The visible text of each paragraph that has an id of its own."""
    from lxml import html

    tree = html.parse(str(page), html.HTMLParser(encoding="utf-8"))
    for hidden in tree.xpath("//*[contains(concat(' ', @class, ' '), ' MAC ')]"):
        hidden.drop_tree()
    found = {}
    for element in tree.xpath("//*[starts-with(@id, 'par_') or starts-with(@id, 'hd_') or starts-with(@id, 'tit')]"):
        text = " ".join(element.text_content().split())
        if text:
            found[element.get("id")] = text
    return found
