"""How well a tokenizer fits a language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from wenlu.tokenizers.tokenizer import Tokenizer
from wenlu.tokenizers.words import count_words

_TEXTS_A_BATCH = 256
_EXAMPLES = 5
_EXCERPT_CHARACTERS = 40


@dataclass(frozen=True)
class RoundTripFailure:
    """A text that decoding did not give back: both sides from shortly before the first difference on.

    Attributes:
        text: number of the text, from 0.
        character: where the first difference is.
    """

    text: int
    character: int
    expected: str
    decoded: str


@dataclass(frozen=True)
class LanguageFertility:
    """Counts of one language; `words` as `count_words` counts them.

    Attributes:
        unknown: tokens that stand for what the vocabulary lacks.
        failures: texts that decoding did not give back.
        examples: the first few of them.
    """

    language: str
    texts: int
    characters: int
    words: int
    bytes: int
    tokens: int
    unknown: int
    failures: int
    examples: tuple[RoundTripFailure, ...]

    @property
    def rates(self) -> dict[str, float]:
        """Tokens a character, a word and a byte; unknown tokens a token; failures a text. 0 where there is no text."""
        return {
            "tokens_per_character": self.tokens / max(self.characters, 1),
            "tokens_per_word": self.tokens / max(self.words, 1),
            "tokens_per_byte": self.tokens / max(self.bytes, 1),
            "bytes_per_token": self.bytes / max(self.tokens, 1),
            "unknown_rate": self.unknown / max(self.tokens, 1),
            "failure_rate": self.failures / max(self.texts, 1),
        }


@dataclass(frozen=True)
class FertilityReport:
    """One row a language, in the order in which they were given."""

    vocab_size: int
    fingerprint: str
    languages: tuple[LanguageFertility, ...]

    def to_json(self) -> dict[str, Any]:
        rows = [asdict(row) | row.rates for row in self.languages]
        return {"vocab_size": self.vocab_size, "fingerprint": self.fingerprint, "languages": rows}


def fertility(tokenizer: Tokenizer, texts_by_language: Mapping[str, Iterable[str]]) -> FertilityReport:
    """Encode and decode all texts of each language, and count."""
    rows = tuple(_measure(tokenizer, language, texts) for language, texts in texts_by_language.items())
    return FertilityReport(tokenizer.vocab_size, tokenizer.fingerprint, rows)


def _measure(tokenizer: Tokenizer, language: str, texts: Iterable[str]) -> LanguageFertility:
    count = characters = words = size = tokens = unknown = failures = 0
    examples: list[RoundTripFailure] = []
    for batch in _batched(texts):
        for text, ids in zip(batch, tokenizer.encode_batch(batch), strict=True):
            characters += len(text)
            words += count_words(text)
            size += len(text.encode())
            tokens += len(ids)
            unknown += ids.count(tokenizer.unk_id) if tokenizer.unk_id is not None else 0
            decoded = tokenizer.decode(ids)
            if decoded != text:
                failures += 1
                if len(examples) < _EXAMPLES:
                    examples.append(_failure(count, text, decoded))
            count += 1
    return LanguageFertility(language, count, characters, words, size, tokens, unknown, failures, tuple(examples))


def _failure(number: int, expected: str, decoded: str) -> RoundTripFailure:
    pairs = enumerate(zip(expected, decoded, strict=False))
    at = next((i for i, (one, other) in pairs if one != other), min(len(expected), len(decoded)))
    window = slice(max(0, at - 8), at + _EXCERPT_CHARACTERS)
    return RoundTripFailure(number, at, expected[window], decoded[window])


def _batched(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _TEXTS_A_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
