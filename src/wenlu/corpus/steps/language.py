"""Find out the language of each text, by script where the script tells, else by py3langid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt

from wenlu.corpus.record import Drop, Item, Record, Step
from wenlu.corpus.script import letters_by_script
from wenlu.corpus.step import RecordStep, StepConfig, StepKind, Workroom
from wenlu.errors import MissingExtra

UNDETERMINED = "und"
"""ISO 639-2 code of a language that could not be told."""

_SAMPLE = 4_000
"""Characters looked at, from the start and the middle of a long text."""
_LETTERS_A_CHARACTER = {"Han": 3, "Kana": 3, "Hangul": 3}
"""A character of these says about as much as so many letters of an alphabet."""

_ONE_LANGUAGE = {
    "Greek": "el", "Armenian": "hy", "Hebrew": "he", "Bengali": "bn", "Gurmukhi": "pa", "Gujarati": "gu", "Oriya": "or",
    "Tamil": "ta", "Telugu": "te", "Kannada": "kn", "Malayalam": "ml", "Sinhala": "si", "Thai": "th", "Lao": "lo",
    "Tibetan": "bo", "Myanmar": "my", "Georgian": "ka", "Ethiopic": "am", "Khmer": "km", "Mongolian": "mn",
    "Hangul": "ko", "Kana": "ja", "Han": "zh",
}  # fmt: skip
_SEVERAL_LANGUAGES = {
    "Cyrillic": ("be", "bg", "kk", "ky", "mk", "mn", "ru", "sr", "uk"),
    "Arabic": ("ar", "fa", "ps", "ug", "ur"),
    "Devanagari": ("hi", "mr", "ne"),
    "Latin": (
        "af", "an", "az", "br", "bs", "ca", "cs", "cy", "da", "de", "en", "eo", "es", "et", "eu", "fi", "fo", "fr",
        "ga", "gl", "hr", "ht", "hu", "id", "is", "it", "jv", "ku", "la", "lb", "lt", "lv", "mg", "ms", "mt", "nb",
        "nl", "nn", "no", "oc", "pl", "pt", "qu", "ro", "rw", "se", "sk", "sl", "sq", "sv", "sw", "tl", "tr", "vi",
        "vo", "wa", "xh", "zu",
    ),
}  # fmt: skip
"""Codes of py3langid whose languages are written in the script."""


class LanguageConfig(StepConfig):
    """Write the ISO 639-1 code to the record's meta as `language`; `und` where it cannot be told.

    The script decides first: Chinese characters alone are never taken for a language of the Latin script, kana make
    Japanese, hangul makes Korean. Only among the languages of one script does py3langid choose.
    """

    step: Literal["language"] = "language"
    keep: tuple[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")], ...] = ()
    """Codes to keep; others are dropped. Empty: keep all. `und` may be listed."""
    min_letters: NonNegativeInt = 20
    """Shorter texts are undetermined; a Chinese character, a kana or a hangul syllable counts as three letters."""
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Below this probability (py3langid's, among the languages of the script) a text is undetermined."""


@dataclass(frozen=True)
class _Identify:
    config: LanguageConfig

    def __call__(self, record: Record) -> Item:
        code = language_of(record.text, min_letters=self.config.min_letters, min_confidence=self.config.min_confidence)
        named = replace(record, meta={**record.meta, "language": code})
        if self.config.keep and code not in self.config.keep:
            return Drop(named, "language", f"language {code}")
        return named


def language_of(text: str, *, min_letters: int = 20, min_confidence: float = 0.5) -> str:
    """The language's code, or `und`."""
    if len(text) > _SAMPLE:
        middle = len(text) // 2
        text = text[: _SAMPLE // 2] + "\n" + text[middle : middle + _SAMPLE // 2]
    weights = {name: n * _LETTERS_A_CHARACTER.get(name, 1) for name, n in letters_by_script(text).items()}
    if sum(weights.values()) < max(min_letters, 1):
        return UNDETERMINED
    east_asian = weights.get("Han", 0) + weights.get("Kana", 0)
    others = {name: weight for name, weight in weights.items() if name not in ("Han", "Kana")}
    script = max(others, key=lambda name: others[name], default="Han")
    if east_asian >= others.get(script, 0):
        script = "Kana" if 20 * weights.get("Kana", 0) >= east_asian else "Han"  # Chinese quotes a kana now and then
    if script in _ONE_LANGUAGE:
        return _ONE_LANGUAGE[script]
    code, confidence = _identifier(script).classify(text)
    return code if confidence >= min_confidence else UNDETERMINED


@cache
def _identifier(script: str) -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise MissingExtra("py3langid", extra="data", purpose="identify languages") from error
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([code for code in _SEVERAL_LANGUAGES[script] if code in identifier.labels])
    return identifier


def build(config: LanguageConfig, room: Workroom) -> Step:  # noqa: ARG001
    _identifier("Latin")  # missing: say so before anything is read
    return RecordStep("language", _Identify(config))


STEP = StepKind("language", LanguageConfig, build)
