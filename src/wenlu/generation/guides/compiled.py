"""Read what an answer must look like, under limits of size and time."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from wenlu.errors import UsageError
from wenlu.generation.guides.choices import Choices
from wenlu.generation.guides.grammar import Grammar, Matcher, short
from wenlu.generation.guides.guide import Guide
from wenlu.generation.guides.spellings import spellings_of
from wenlu.generation.guides.vocabulary import llguidance
from wenlu.tokenizers import Tokenizer

if TYPE_CHECKING:
    from wenlu.generation.settings import SamplingConfig

TIMEOUT_SECONDS = 10.0
JSON_STYLE = {
    "whitespace_flexible": False,  # a model that is not sure could write spaces for ever
    "item_separator": ", ",
    "key_separator": ": ",
    "lenient": False,  # a keyword that is not understood is an error, never left out
}


@dataclass(frozen=True)
class Compiled:
    """A form that was read and found good.

    Attributes:
        guide: makes a guide to one answer; True where no text stands before it.
    """

    guide: Callable[[bool], Guide]


def compile_guide(
    sampling: SamplingConfig, tokenizer: Tokenizer, ends: frozenset[int], *, timeout_seconds: float = TIMEOUT_SECONDS
) -> Compiled | None:
    """What the `FORMS` of `sampling` ask; None where they ask nothing.

    A server calls this in a process that it can kill; here the thread of a reading that takes too long is left to its
    own limits.

    Args:
        ends: the tokens that end an answer.

    Raises:
        UsageError: what is not understood, or takes too long; or there is no end.
        MissingExtra: all but `choices` need llguidance.
    """
    if not sampling.forms:
        return None
    (where,) = sampling.forms
    if not any(token < tokenizer.vocab_size for token in ends):
        raise UsageError(f"{where}: the tokenizer has no token that ends a text, so an answer could not; remove it")
    if where == "choices":
        return _choices(sampling.choices, tokenizer, ends)
    library = llguidance()
    limits = library.LLParserLimits(verbose_errors=False)

    def read() -> Compiled:
        return _grammar(_lark(where, getattr(sampling, where)), tokenizer, ends, where, limits)

    return _within(timeout_seconds, read, where)


def _lark(kind: str, text: str) -> str:
    """A form as a grammar in which any token may come that fits.

    Of itself the library would have what must come spelt in the one way in which its tokenizer cuts it: ours cuts texts
    into bytes, so that a model would have to write each byte by itself, as it never learnt to.
    """
    if kind == "json_schema":
        text = f"start: %json {json.dumps({'x-guidance': JSON_STYLE, **json.loads(text)}, ensure_ascii=False)}"
    elif kind == "regex":
        text = json.loads(llguidance().LLMatcher.grammar_from_regex(text))["grammars"][0]["lark_grammar"]
    if "%llguidance" not in text:
        text += '\n%llguidance {"no_forcing": true}\n'
    return str(llguidance().LLMatcher.grammar_from_lark(text))


def _choices(choices: tuple[str, ...], tokenizer: Tokenizer, ends: frozenset[int]) -> Compiled:
    spellings = spellings_of(tokenizer)

    @cache
    def guide(begins: bool) -> Guide:
        return Choices(choices, spellings, ends, begins=begins)

    return Compiled(guide)


def _grammar(grammar: str, tokenizer: Tokenizer, ends: frozenset[int], where: str, limits: Any) -> Compiled:
    spellings = spellings_of(tokenizer)
    library = llguidance()

    def matcher(*, first: bool) -> Matcher:
        vocabulary = spellings.vocabulary(first=first)
        inner = library.LLMatcher(vocabulary.tokenizer, grammar, log_level=0, limits=limits)
        if inner.is_error():
            raise UsageError(f"{where}: {short(inner.get_error())}")
        return Matcher(inner, vocabulary)

    later = matcher(first=False)
    first = matcher(first=True) if spellings.first != spellings.later else None

    def guide(begins: bool) -> Guide:
        return Grammar(later.copy(), spellings, ends, where=where, first=first if begins else None)

    return Compiled(guide)


def _within(seconds: float, read: Callable[[], Compiled], where: str) -> Compiled:
    found: list[Compiled | BaseException] = []

    def work() -> None:
        try:
            found.append(read())
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that waits)
            found.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not found:
        raise UsageError(f"{where}: was not read within {seconds:g} s; make it simpler")
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]
