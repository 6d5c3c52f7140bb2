"""English synonyms from the database files of WordNet (Miller 1995, "WordNet: A lexical database for English")."""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass, field
from pathlib import Path

from wenlu import hub

SOURCE = "package:wordnet-base/usr/share/wordnet"
_PARTS = ("noun", "verb", "adj", "adv")
_FUNCTION_WORDS = """
a about above across after again against all almost along already also although always am among an
and another any are around as at away back be because been before behind being below beside between
both but by can could did do does doing done down during each either else enough even ever every few
for from had has have having he her here hers him his how i if in into is it its just least less
like may me might mine more most much must my near neither never no none nor not now of off often on
once one only or other our ours out over own per rather she should since so some still such than
that the their theirs them then there these they this those though through till to too toward under
until up upon us very was we well were what when where whether which while who whom whose why will
with within without would yes yet you your yours
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Their entries are of other words that are spelt so: `a` the vitamin, `in` the inch, `will` the testament."""
_ONE_WORD = re.compile(r"[a-zA-Z]+(?:['-][a-zA-Z]+)*")


@dataclass(frozen=True)
class WordNet:
    """Single words that share the commonest sense of a word as noun, verb, adjective or adverb.

    Other senses would bring in words that rarely mean the same in a text. Inflected forms have none of their own,
    nor do function words.
    """

    senses: dict[str, tuple[tuple[str, int], ...]]
    data: dict[str, mmap.mmap]
    known: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, word: str) -> tuple[str, ...]:
        low = word.lower()
        if low in FUNCTION_WORDS:
            return ()
        if low not in self.known:
            found = (name for part, offset in self.senses.get(low, ()) for name in self._members(part, offset))
            self.known[low] = tuple(dict.fromkeys(name for name in found if name.lower() != low))
        return self.known[low]

    def _members(self, part: str, offset: int) -> list[str]:
        """The words of a synset: `offset file type count word id word id …`, the count in hexadecimal (wndb(5WN))."""
        data = self.data[part]
        columns = data[offset : data.find(b"\n", offset)].decode("ascii").split(" ")
        words = columns[4 : 4 + 2 * int(columns[3], 16) : 2]
        names = (word.partition("(")[0] for word in words)
        return [name for name in names if _ONE_WORD.fullmatch(name)]


def wordnet(folder: Path | None = None) -> WordNet:
    """From a folder with `index.noun`, `data.noun` and the like, by default that of Debian's package.

    Raises UsageError, ResourceError where it cannot be fetched.
    """
    folder = folder or hub.resolve(SOURCE).path
    senses: dict[str, list[tuple[str, int]]] = {}
    data = {}
    for part in _PARTS:
        with (folder / f"data.{part}").open("rb") as file:
            data[part] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        for line in (folder / f"index.{part}").read_text(encoding="ascii").splitlines():
            columns = line.split()
            if line.startswith("  ") or not _ONE_WORD.fullmatch(columns[0]):
                continue
            first = columns[6 + int(columns[3])]  # behind the kinds of pointers and two counts: the commonest sense
            senses.setdefault(columns[0], []).append((part, int(first)))
    return WordNet({word: tuple(places) for word, places in senses.items()}, data)
