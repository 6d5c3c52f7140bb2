"""A text in several languages becomes a row of a source and a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wenlu.corpus.columns import require_column
from wenlu.corpus.source import SourceFile, SourceSpec

Variant = tuple[str, str]
"""A language and the text in it."""

NAMES = ("text", "source", "target", "source_language", "target_language")


def is_language(found: str, wanted: str) -> bool:
    """Whether a language tag is the wanted one or one below it: `zh-CN`, `zh_Hans` and `ZH` are `zh`."""
    found, wanted = (tag.lower().replace("_", "-") for tag in (found, wanted))
    return found == wanted or found.startswith(f"{wanted}-")


def variant_in(language: str, variants: Sequence[Variant]) -> Variant | None:
    """The first text in exactly this language, or else in one below it."""
    exact = (variant for variant in variants if variant[0].lower() == language.lower())
    below = (variant for variant in variants if is_language(variant[0], language))
    return next(exact, None) or next(below, None)


def pair_row(source: Variant, target: Variant) -> dict[str, Any]:
    return {
        "text": source[1],
        "source": source[1],
        "target": target[1],
        "source_language": source[0] or None,
        "target_language": target[0] or None,
    }


def require_pair_columns(file: SourceFile, spec: SourceSpec, more: Sequence[str] = ()) -> None:
    """Refuse settings that name another column; raises DataError with those that there are."""
    for setting, name in (("text", spec.text), *((spec.setting_of(name), name) for name in spec.meta)):
        require_column(name, (*NAMES, *more), setting=setting, where=str(file.path))
