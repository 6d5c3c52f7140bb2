"""What a kind of vocabulary is: a name and how to learn it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from tokenizers import AddedToken, Tokenizer, normalizers
from tokenizers.normalizers import Normalizer

from wenlu.errors import DataError
from wenlu.tokenizers.config import KindName, TokenizerConfig


@dataclass(frozen=True)
class Kind:
    """One kind of vocabulary: to add one, write `kinds/<name>.py` ending in `KIND = Kind(...)` and add its row.

    Attributes:
        title: as messages call it.
        train: learns from texts, read once; special tokens get the ids from 0 on. Raises DataError where
            the texts do not support the vocabulary. The same texts in the same order give the same result.
        exact: decoding gives back any text, byte for byte (without normalisation).
    """

    name: KindName
    title: str
    train: Callable[[TokenizerConfig, Iterable[str]], Tokenizer]
    exact: bool


def normalizer(config: TokenizerConfig) -> Normalizer | None:
    """The chosen Unicode form, then lower case; None where text stays as it is."""
    parts: list[Normalizer] = []
    if config.normalization != "none":
        parts.append(normalizers.NFC() if config.normalization == "nfc" else normalizers.NFKC())
    if config.lowercase:
        parts.append(normalizers.Lowercase())
    return normalizers.Sequence(parts) if parts else None


def frequent_characters(words: Mapping[str, int], *, always: Sequence[str] = (), coverage: float) -> list[str]:
    """`always`, then the characters of counted `words`, most frequent first, until `coverage` of all is reached."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    kept = dict.fromkeys(always)
    wanted = coverage * counts.total()
    covered = sum(counts[character] for character in always)
    for character, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if covered >= wanted:
            break
        if character not in kept:
            kept[character] = None
            covered += count
    return list(kept)


def mark_special(tokenizer: Tokenizer, tokens: Sequence[str]) -> Tokenizer:
    """Declare `tokens`, which have their ids already, as special."""
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])
    return tokenizer


def too_large(config: TokenizerConfig, reached: int) -> NoReturn:
    """Refuse a vocabulary that the text does not support."""
    lower = f", a min_frequency below {config.min_frequency}" if config.min_frequency > 1 else ""
    raise DataError(
        f"tokenizer.vocab_size = {config.vocab_size} is more than the text supports: {config.kind} reached {reached}; "
        f"try vocab_size = {reached} or less{lower}, or more text"
    )
