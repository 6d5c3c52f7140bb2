"""Read forms of answers in a process of its own, which may be killed: run as a script, one JSON object a line."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import llguidance

MEMORY_BYTES = 2**30
STYLE: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "lenient": False}
"""As `JSON_STYLE` of the guides has it, whose module imports torch."""
_EXPRESSION = "regex parse error"
_PLACE = re.compile(r"at (\d+)\(\d+\): ")
_KEYWORDS = re.compile(r"Unimplemented keys: \[([^\]]*)\]")


def complaint(kind: str, text: str) -> str | None:
    """What is wrong with a form, in a line; None where it can be used."""
    matcher = llguidance.LLMatcher
    try:
        grammars = {
            "json_schema": lambda: matcher.grammar_from_json_schema(text, overrides=STYLE),
            "regex": lambda: matcher.grammar_from_regex(text),
            "grammar": lambda: matcher.grammar_from_lark(text),
        }
        limits = llguidance.LLParserLimits(verbose_errors=False)
        made = matcher(TOKENIZER, grammars[kind](), log_level=0, limits=limits)
        if not made.is_error():
            made.compute_bitmask()
        error = made.get_error() if made.is_error() else ""
    except ValueError as problem:
        error = str(problem)
    return shown(error) or None


def shown(error: str) -> str:
    """A complaint in a line, without how the library came to it."""
    text = error.replace("<non-verbose/>", "").strip()
    place = _PLACE.match(text)
    if _EXPRESSION in text:
        text = f"{_EXPRESSION.removesuffix(' parse error')}: {text.partition('error: ')[2] or 'cannot be read'}"
    elif "not present in a registry" in text:
        text = f"{text.partition(' is not')[0]}: a schema refers to its own parts only"
    elif place is not None:
        text = f"line {place[1]}: {text[place.end() :]}"
    text = _KEYWORDS.sub(lambda match: f"not supported: {match[1].replace(chr(34), '')}", text)
    text = " ".join(text.splitlines()[0].split()) if text else ""
    return text if len(text) <= 300 else f"{text[:300]} …"


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _bound_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    except (ImportError, ValueError, OSError):  # not on this system
        pass


TOKENIZER = llguidance.LLTokenizer("byte")


def main() -> None:
    _bound_memory()
    _say({"ready": True})
    for line in sys.stdin:
        asked = json.loads(line)
        _say({"error": complaint(asked["kind"], asked["text"])})


if __name__ == "__main__":
    main()
