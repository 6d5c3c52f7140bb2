"""Cut text into sentences by rules, in English and Chinese."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from wenlu.corpus.record import Drop, Item, Record, Step
from wenlu.corpus.script import RANGES
from wenlu.corpus.step import RecordStep, StepConfig, StepKind, Workroom

_CJK = "".join(f"{chr(first)}-{chr(last)}" for name in ("Han", "Kana") for first, last in RANGES[name])
_CLOSING = "\"'”’»)\\]」』）》】〉"
_OPENING = "\"'“‘«(\\[「『（《【〈"
_END = re.compile(
    rf"(?P<wide>[。！？｡]+[。！？!?…]*|…+(?=[{_CLOSING}]))[{_CLOSING}]*"
    rf"|[!?]+[{_CLOSING}]*(?=[{_CJK}])"
    rf"|(?P<narrow>[.!?]+|…+)[{_CLOSING}]*(?=\s)"
)
_SPEECH = re.compile(rf"[{_CJK}]{{0,6}}?[说道问喊叫答]")  # “来！”他说。 is one sentence
_ANNOUNCED = re.compile("[：:，,]\\s*[“‘「『][^“‘「『]*$")  # 他说：“来！” is whole already
_BLANK_LINES = re.compile(r"\n[^\S\n]*\n")
_LAST_WORD = re.compile(r"[^\s\"'“”‘’(\[]+$")
_INITIALS = re.compile(r"(?:[A-Za-z]\.)*[A-Za-z]")

_NEVER_LAST = frozenset((
    "mr", "mrs", "ms", "dr", "prof", "rev", "hon", "st", "sr", "messrs", "gen", "col", "capt", "lt", "sgt", "gov",
    "sen", "rep", "pres", "fig", "figs", "eq", "eqs", "no", "nos", "vol", "ch", "sec", "pp", "p", "cf", "eg", "e.g",
    "ie", "i.e", "viz", "vs", "al", "ca", "approx", "dept", "est", "jan", "feb", "mar", "apr", "jun", "jul", "aug",
    "sep", "sept", "oct", "nov", "dec",
))  # fmt: skip
_SOMETIMES_LAST = frozenset((
    "etc", "inc", "ltd", "co", "corp", "jr", "ph.d", "a.m", "p.m", "u.s", "u.k", "u.n", "e.u", "d.c",
))  # fmt: skip
_STARTERS = frozenset((
    "the", "a", "an", "this", "that", "these", "those", "it", "he", "she", "they", "we", "you", "i", "in", "on", "at",
    "for", "but", "and", "so", "if", "when", "while", "as", "there", "what", "who", "how", "why", "where", "then",
    "however", "his", "her", "their", "our", "my", "its",
))  # fmt: skip


class SentencesConfig(StepConfig):
    """A sentence ends at `.`, `!`, `?` before white space and a capital, and at `。`, `！`, `？`; closing quotes belong
    to it. Abbreviations, initials and numbers in lists do not end one. A blank line always does; a single line break
    does unless the next line goes on in lower case.
    """

    step: Literal["sentences"] = "sentences"
    into: Literal["lines", "records"] = "lines"
    """One sentence a line, or one a record: its id gets `#1`, `#2`, …, and the meta `document` the id of the whole."""


def sentences_of(text: str) -> list[str]:
    """The sentences in order, without white space at their ends."""
    return [sentence for part in _parts(text) for sentence in _split(part)]


def _parts(text: str) -> Iterator[str]:
    """Stretches that no sentence crosses, with wrapped lines joined."""
    for paragraph in _BLANK_LINES.split(text):
        part = ""
        for line in map(str.strip, paragraph.split("\n")):
            if part and line[:1].islower() and part[-1] not in ".!?:;。！？：；":
                part = f"{part} {line}"
                continue
            if part:
                yield part
            part = line
        if part:
            yield part


def _split(text: str) -> Iterator[str]:
    start = 0
    for match in _END.finditer(text):
        end = match.end()
        sentence = text[start:end].strip()
        if sentence and text[end:].strip() and _ends(text, start, match):
            yield sentence
            start = end
    rest = text[start:].strip()
    if rest:
        yield rest


def _ends(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether the sentence that began at `start` ends with the mark that `match` found."""
    following = text[match.end() :].lstrip()
    if not match["narrow"]:
        spoken = match[0][-1] in "”’」』" and not _ANNOUNCED.search(text[start : match.end()])
        return not (spoken and _SPEECH.match(following))
    next_letter = following.lstrip("\"'“‘«([「『（《【〈")[:1]
    if next_letter.islower():
        return False
    if match["narrow"] != ".":
        return True
    found = _LAST_WORD.search(text[start : match.start()])
    word = found[0].lower() if found else ""
    if word in _NEVER_LAST or (word.isdigit() and not text[start : match.start()].removesuffix(word).strip()):
        return False
    if word in _SOMETIMES_LAST or (word != "i" and _INITIALS.fullmatch(word)):
        starter = re.match(r"\w*", following)
        return starter is not None and starter[0].lower() in _STARTERS
    return True


@dataclass(frozen=True)
class _Lines:
    def __call__(self, record: Record) -> Item:
        found = sentences_of(record.text)
        return replace(record, text="\n".join(found)) if found else Drop(record, "sentences", "empty")


def _records(items: Iterable[Item]) -> Iterator[Item]:
    for item in items:
        if isinstance(item, Drop):
            yield item
            continue
        found = sentences_of(item.text)
        if not found:
            yield Drop(item, "sentences", "empty")
        for i, sentence in enumerate(found, start=1):
            yield Record(sentence, f"{item.id}#{i}", {**item.meta, "document": item.id})


def build(config: SentencesConfig, room: Workroom) -> Step:  # noqa: ARG001
    return RecordStep("sentences", _Lines()) if config.into == "lines" else _records


STEP = StepKind("sentences", SentencesConfig, build, changes_text=True)
