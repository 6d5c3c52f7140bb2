"""All words of the page by language, and how they are said."""

from __future__ import annotations

import os
from collections.abc import Mapping

from wenlu.explanation.page.certificate_words import CERTIFICATE
from wenlu.explanation.page.page_words import PAGE, Language
from wenlu.explanation.page.sayings import Saying
from wenlu.explanation.reasons import ENGLISH

WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {f"reason.{kind}": sentence for kind, sentence in ENGLISH.items()} | PAGE["en"] | CERTIFICATE["en"],
    "zh": PAGE["zh"] | CERTIFICATE["zh"],
}


class Words:
    """The words of one language."""

    def __init__(self, language: Language) -> None:
        self._table = WORDS[language]

    def __call__(self, key: str, **values: str) -> str:
        return self._table[key].format(**values)

    def say(self, saying: Saying, suffix: str = "") -> str:
        """Its sentence; of a row of the certificate with `.label`, `.value` or `.meaning`."""
        terms = {name: self.term(term) for name, term in saying.terms.items()}
        return self(saying.key + suffix, **{**saying.numbers, **terms})

    def term(self, name: str) -> str:
        """A word of ours in this language, as it is where it has none."""
        return self._table.get(f"term.{name}", name)


def language_here() -> Language:
    """Of the locale that LC_ALL, LC_MESSAGES or LANG name; English where they name no Chinese one."""
    names = (os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "zh" if next((name for name in names if name), "").lower().startswith("zh") else "en"
