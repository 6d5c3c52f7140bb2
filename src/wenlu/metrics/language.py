"""What a metric of text must know of a language: its code, and whether spaces part its words."""

from __future__ import annotations

import re

from wenlu.errors import UsageError

CHINESE = frozenset(("zh", "yue", "wuu", "lzh"))
UNSPACED = CHINESE | {"ja", "th", "lo", "my", "km", "bo", "dz"}
"""Languages whose writing puts no space between words."""

_CODE = re.compile("[a-z]{2,3}")
_SAME = {"chi": "zh", "cmn": "zh", "eng": "en", "jpn": "ja", "kor": "ko", "tha": "th", "zho": "zh"}
_MISTAKEN = {"cn": "zh", "jp": "ja"}


def code_of(language: str) -> str:
    """`zh` of `zh`, `zh-Hans`, `zh_TW` or `cmn`; raises UsageError where it is no code of a language."""
    code = re.split("[-_]", language.lower(), maxsplit=1)[0]
    if code in _MISTAKEN:
        raise UsageError(f"language {language!r} is a country's code; did you mean {_MISTAKEN[code]}?")
    if not _CODE.fullmatch(code):
        raise UsageError(f"language {language!r} is not a code such as en, zh or pt-BR")
    return _SAME.get(code, code)
