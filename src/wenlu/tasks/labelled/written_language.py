"""In which language the texts of a role are, as far as metrics need to know: how they are cut into words."""

from __future__ import annotations

from collections.abc import Sequence

from wenlu.tokenizers.words import han_share

TEXTS_SEEN = 1000


def language_of(texts: Sequence[str]) -> str:
    """ "zh" where most letters of the first texts are Chinese characters, else "en"."""
    return "zh" if han_share(" ".join(texts[:TEXTS_SEEN])) > 0.5 else "en"
