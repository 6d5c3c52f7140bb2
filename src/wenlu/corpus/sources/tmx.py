"""Translation memories, TMX 1.4 (https://www.gala-global.org/tmx-14b), unit by unit.

A unit is a row of the columns `text` and `source`, `target`, `source_language`, `target_language`. Which two of its
languages these are, `languages` says; without it the source is the file's `srclang`, or what the unit begins with, and
the target the only other language. Codes of the text's own format (`<bpt>`, `<ept>`, `<ph>`, `<it>`, `<ut>`) are left
out with what they hold; what `<hi>` marks is text and stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wenlu.corpus.columns import to_record
from wenlu.corpus.language_pair import Variant, is_language, pair_row, require_pair_columns, variant_in
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import Bad, FileKind, Read, SourceFile, SourceSpec
from wenlu.corpus.xml_units import attribute, local_name, plain_text, units
from wenlu.errors import DataError

_CODES = ("bpt", "ept", "ph", "it", "ut")


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    require_pair_columns(file, spec)
    written_in = "*all*"
    number = 0
    for element, line in units(file, spec, root="tmx", unit=("tu", "header")):
        if local_name(element) == "header":
            written_in = attribute(element, "srclang") or written_in
            continue
        number += 1
        id = f"{file.id}:{number}"
        try:
            variants = _variants(element)
        except ValueError as error:
            yield Bad(id, "malformed unit", f"the <tu> of line {line}: {error}")
            continue
        pair = _pair(variants, attribute(element, "srclang") or written_in, spec, f"{file.path}, line {line}")
        if pair is None:
            yield Drop(Record("", id), "source", "not in both languages")
        elif not pair[1][1]:
            yield Drop(Record("", id), "source", "untranslated")
        else:
            yield to_record(pair_row(*pair), id, spec)


def _variants(unit: Any) -> list[Variant]:
    """Raises ValueError where a text or its language is missing."""
    variants: list[Variant] = []
    for child in unit:
        if local_name(child) != "tuv":
            continue
        language = attribute(child, "xml:lang", "lang")
        segment = next((inner for inner in child if local_name(inner) == "seg"), None)
        if not language or segment is None:
            raise ValueError("a <tuv> in it has no xml:lang or no <seg>")
        variants.append((language, plain_text(segment, codes=_CODES).strip()))
    return variants


def _pair(variants: Sequence[Variant], written_in: str, spec: SourceSpec, where: str) -> tuple[Variant, Variant] | None:
    if spec.languages:
        source, target = (variant_in(language, variants) for language in spec.languages)
        return (source, target) if source and target else None
    source = next(iter(variants), None) if written_in == "*all*" else variant_in(written_in, variants)
    if source is None:
        return None
    others = [variant for variant in variants if not is_language(variant[0], source[0])]
    if len({variant[0].lower() for variant in others}) > 1:
        listing = ", ".join(dict.fromkeys(variant[0] for variant in variants))
        raise DataError(
            f'{where}: a unit in {listing}; name the two that you want in this source: languages = ["…", "…"]'
        )
    return (source, others[0]) if others else None


KIND = FileKind("tmx", (".tmx",), _read, columnar=True)
