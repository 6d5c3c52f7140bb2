"""XLIFF 1.2 (https://docs.oasis-open.org/xliff/v1.2/) and 2.x (https://docs.oasis-open.org/xliff/xliff-core/v2.1/).

A `<trans-unit>`, or a `<segment>` of 2.x, is a row of the columns `text` and `source`, `target`, `source_language`,
`target_language`. What is not translated, or marked as not yet, is dropped. Where `languages` names the file's two the
other way round, they are exchanged. Inline codes are left out with what they hold; text that is only marked stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wenlu.corpus.columns import to_record
from wenlu.corpus.language_pair import is_language, pair_row, require_pair_columns
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import Bad, FileKind, Read, SourceFile, SourceSpec
from wenlu.corpus.xml_units import attribute, local_name, plain_text, units

_CODES = ("bpt", "ept", "ph", "it", "x", "bx", "ex", "sc", "ec", "sm", "em", "cp")
_NOT_YET = ("new", "needs-translation", "initial")
"""States of a target that holds no translation: of 1.2 and, the last, of 2.x."""


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    require_pair_columns(file, spec)
    number = 0
    for element, line in units(file, spec, root="xliff", unit=("trans-unit", "unit")):
        segments = [element]
        if local_name(element) == "unit":
            segments = [child for child in element if local_name(child) == "segment"]
        for segment in segments:
            number += 1
            yield _item(element, segment, f"{file.id}:{number}", line, spec)


def _item(unit: Any, segment: Any, id: str, line: int, spec: SourceSpec) -> Read:
    source, target = (
        next((child for child in segment if local_name(child) == name), None) for name in ("source", "target")
    )
    if source is None:
        return Bad(id, "malformed unit", f"the <{local_name(unit)}> of line {line} has no <source>")
    if _inherited(unit, "translate") == "no":
        return Drop(Record("", id), "source", "not to be translated")
    state = attribute(segment, "state")
    if segment is unit:  # version 1.2
        state = attribute(target, "state") if target is not None else None
    try:
        texts = ["" if element is None else plain_text(element, codes=_CODES).strip() for element in (source, target)]
    except ValueError as error:
        return Bad(id, "malformed unit", f"the <{local_name(unit)}> of line {line}: {error}")
    if not texts[1] or state in _NOT_YET:
        return Drop(Record("", id), "source", "untranslated")
    languages = [_inherited(unit, "source-language", "srcLang"), _inherited(unit, "target-language", "trgLang")]
    pair = list(zip(languages, texts, strict=True))
    if spec.languages and all(languages):
        if all(map(is_language, reversed(languages), spec.languages)):
            pair.reverse()
        elif not all(map(is_language, languages, spec.languages)):
            return Drop(Record("", id), "source", "not in both languages")
    return to_record(pair_row(*pair), id, spec)


def _inherited(element: Any, *names: str) -> str:
    """The attribute of the element, or of the nearest one around it; "" where none has it."""
    while element is not None:
        if found := attribute(element, *names):
            return found
        element = element.getparent()
    return ""


KIND = FileKind("xliff", (".xlf", ".xliff"), _read, columnar=True)
