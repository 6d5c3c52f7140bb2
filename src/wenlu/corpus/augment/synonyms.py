"""Synonyms from a file of the user's own, and what a word of any table becomes in its place in a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from wenlu.errors import DataError

_BETWEEN = re.compile(r"[\s,;，；、|=]+")


@dataclass(frozen=True)
class SynonymGroups:
    """Groups of words that mean the same; in English case is passed over."""

    groups: Mapping[str, tuple[str, ...]]

    @classmethod
    def read(cls, path: Path, *, of_characters: bool = False) -> Self:
        """A group a line, its words parted by spaces, commas, tabs or `=`; raises DataError where there is none.

        Args:
            of_characters: each character is a word, whether they are parted or not.
        """
        groups: dict[str, dict[str, None]] = {}
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{path}: cannot be read as UTF-8 text ({error}); give a file with a group a line"
            ) from error
        for line in lines:
            words = [word for word in _BETWEEN.split(line.strip()) if word and not line.startswith("#")]
            words = [*"".join(words)] if of_characters else words
            for word in words:
                groups.setdefault(word.casefold(), {}).update(dict.fromkeys(other for other in words if other != word))
        if not any(groups.values()):
            raise DataError(f"{path}: no group of synonyms; write a group a line, its words parted by spaces")
        return cls({word: tuple(others) for word, others in groups.items()})

    def of(self, word: str) -> tuple[str, ...]:
        return self.groups.get(word.casefold(), ())


def cased_as(word: str, other: str) -> str:
    """Another word with the capitals of the first."""
    if word.isupper() and len(word) > 1:
        return other.upper()
    return other[:1].upper() + other[1:] if word[:1].isupper() else other
