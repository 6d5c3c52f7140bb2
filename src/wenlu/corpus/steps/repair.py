"""Repair broken characters and bring Unicode to one form."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from wenlu.corpus.record import Drop, Item, Record, Step
from wenlu.corpus.step import RecordStep, StepConfig, StepKind, Workroom
from wenlu.errors import MissingExtra

_PAGE_ENDS = re.compile("[\f\v]")
_LINE_ENDS = re.compile("\r\n?|[\x85\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u206a-\u206f\ufeff\ufff9-\ufffc]")
"""Control characters but tab and newline, deprecated formatting, byte order marks, object marks."""


class RepairConfig(StepConfig):
    """Text decoded with the wrong encoding is put right (ftfy), line ends become `\\n`, control characters go.

    Quotes, ligatures, HTML entities and full-width characters stay as they are: in Chinese text and in program
    source they are meant. `form="NFKC"` does replace full-width and other compatibility characters.
    """

    step: Literal["repair"] = "repair"
    form: Literal["NFC", "NFKC"] = "NFC"
    """Unicode normalisation form (UAX #15)."""
    encoding: bool = True
    """Whether to undo wrong decodings such as `cafÃ©`."""


@dataclass(frozen=True)
class _Repair:
    config: RepairConfig

    def __call__(self, record: Record) -> Item:
        text = repaired(record.text, self.config)
        if not text.strip():
            return Drop(record, "repair", "empty")
        return record if text == record.text else replace(record, text=text)


def repaired(text: str, config: RepairConfig) -> str:
    """The text as `RepairConfig` says; may be empty."""
    text = _PAGE_ENDS.sub("\n", text)
    if _SURROGATE.search(text):  # pairs become their character, halves U+FFFD
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if config.encoding and not text.isascii():
        text = _ftfy().fix_text(text, _fixes())
    text = _LINE_ENDS.sub("\n", text)
    text = _INVISIBLE.sub("", text)
    return unicodedata.normalize(config.form, text)


@cache
def _fixes() -> Any:
    return _ftfy().TextFixerConfig(
        unescape_html=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        normalization=None,
        explain=False,
    )


def _ftfy() -> Any:
    try:
        import ftfy
    except ImportError as error:
        raise MissingExtra("ftfy", extra="data", purpose="repair wrongly decoded text") from error
    return ftfy


def build(config: RepairConfig, room: Workroom) -> Step:  # noqa: ARG001
    if config.encoding:
        _ftfy()  # missing: say so before anything is read
    return RecordStep("repair", _Repair(config))


STEP = StepKind("repair", RepairConfig, build, changes_text=True)
