"""Texts as sets of hashed shingles: runs of consecutive words, or of characters where a script has no spaces.

A *unit* is a maximal run of letters, digits and marks, in lower case; in Chinese and other scripts without spaces
(`script.UNSPACED`) each character is a unit. Punctuation and white space only separate units. A shingle is `size`
consecutive units, hashed to 64 bits. All texts of a batch are hashed together by whole-array operations.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from wenlu.corpus.script import RANGES, UNSPACED

U64 = np.ndarray[Any, np.dtype[np.uint64]]
I64 = np.ndarray[Any, np.dtype[np.int64]]
Array = np.ndarray[Any, np.dtype[Any]]

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 2**64)
_BATCH = 2**16
"""Characters hashed at once: few enough that the arrays stay in a core's cache."""
_WORD, _SINGLE = 1, 2


@dataclass(frozen=True, slots=True)
class Hashes:
    """Hashes of several texts in one array.

    Attributes:
        values: the hashes of all texts, one text after the other.
        offsets: (texts + 1,) where each text begins in `values`.
    """

    values: U64
    offsets: I64

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> U64:
        return self.values[self.offsets[i] : self.offsets[i + 1]]


def shingles(texts: Sequence[str], size: int) -> Hashes:
    """Hashes of each text's shingles of `size` units, repeats included.

    A text with fewer units is one shingle; a text without any (only punctuation) is hashed as it stands.
    """
    return ngrams(units(texts), size, [text.strip() for text in texts])


def units(texts: Sequence[str]) -> Hashes:
    """Hashes of the units of each text, in order."""
    plain = np.array([text.isascii() for text in texts], bool)
    if plain.all():
        return _units(texts)
    ascii_only = _units([text for text in texts if text.isascii()])  # apart, since these are hashed faster
    others = _units([text for text in texts if not text.isascii()])
    counts = np.empty(len(texts), np.int64)
    counts[plain], counts[~plain] = np.diff(ascii_only.offsets), np.diff(others.offsets)
    values = np.empty(counts.sum(), np.uint64)
    owned_by_plain = np.repeat(plain, counts)
    values[owned_by_plain], values[~owned_by_plain] = ascii_only.values, others.values
    return Hashes(values, _offsets(counts))


def _units(texts: Sequence[str]) -> Hashes:
    pieces: list[str] = []
    owners: list[int] = []
    for i, text in enumerate(texts):
        for piece in _pieces(text):
            pieces.append(piece)
            owners.append(i)
    values, counts = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for batch in _batches(pieces):
        hashed, number = _hash_units(batch)
        values.append(hashed)
        counts.append(number)
    totals = np.zeros(len(texts), np.int64)
    np.add.at(totals, np.array(owners, np.int64), np.concatenate(counts))
    return Hashes(np.concatenate(values), _offsets(totals))


def ngrams(parts: Hashes, size: int, texts: Sequence[str] | None = None) -> Hashes:
    """Hashes of the runs of `size` units.

    With `texts`, one for each row, a row that is too short for a run gets one hash of what it has; without, none.
    """
    present = np.diff(parts.offsets)
    short = present < size
    counts = np.where(short, 0 if texts is None else 1, present - size + 1)
    offsets = _offsets(counts)
    values = _rolling(parts.values, size)
    starts = np.repeat(parts.offsets[:-1] - offsets[:-1], counts) + np.arange(offsets[-1])
    result = values.take(starts, mode="clip") if len(values) else np.zeros(len(starts), np.uint64)
    if texts is not None:
        for row in np.flatnonzero(short).tolist():
            whole = parts[row].tobytes() or texts[row].encode("utf-8", "surrogatepass")
            result[offsets[row]] = int.from_bytes(hashlib.blake2b(whole, digest_size=8).digest(), "little")
    return Hashes(result, offsets)


def distinct(values: U64) -> U64:
    """The different values, sorted."""
    ordered = np.sort(values)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))] if len(ordered) else ordered


def jaccard(one: U64, other: U64) -> float:
    """Size of the intersection over size of the union of two sets of hashes, each given as `distinct` values."""
    together = np.sort(np.concatenate((one, other)))
    shared = int(np.count_nonzero(together[1:] == together[:-1]))
    return shared / max(len(together) - shared, 1)


def _pieces(text: str) -> Iterator[str]:
    """The text in parts of at most `_BATCH` characters, cut where a unit ends if one does nearby."""
    start = 0
    while len(text) - start > _BATCH:
        cut = start + _BATCH
        while cut > start + _BATCH // 2 and text[cut - 1].isalnum() and text[cut].isalnum():
            cut -= 1
        yield text[start:cut]
        start = cut
    yield text[start:]


def _batches(pieces: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    room = _BATCH
    for piece in pieces:
        if batch and len(piece) + 1 > room:
            yield batch
            batch, room = [], _BATCH
        batch.append(piece)
        room -= len(piece) + 1
    if batch:
        yield batch


def _hash_units(texts: Sequence[str]) -> tuple[U64, I64]:
    """Hashes of the units of all texts, and how many of them each text has.

    The hash of a unit is a polynomial in its code points modulo 2^64. Prefix sums of code[i] * base^i give the
    polynomial of any stretch as a difference; a power of the inverse base moves it to the origin.
    """
    codes, inside, single, ends = _codes(texts)
    edges = np.empty(len(codes) + 1, bool)  # where a unit begins or ends
    edges[0], edges[-1] = inside[0], inside[-1]
    np.not_equal(inside[1:], inside[:-1], out=edges[1:-1])
    if single is not None:
        edges[:-1] |= single
        edges[1:] |= single
    places = np.flatnonzero(edges)
    if single is None:
        first, last = places[::2], places[1::2]
    else:
        begins = inside[places[:-1]]
        first, last = places[:-1][begins], places[1:][begins]

    sums = np.empty(len(codes) + 1, np.uint64)
    sums[0] = 0
    sums[1:] = codes
    sums[1:] *= _powers(_BASE)[: len(codes)]
    np.cumsum(sums[1:], out=sums[1:])
    hashes = sums[last]
    hashes -= sums[first]
    hashes *= _powers(_INVERSE)[first]
    return mixed(hashes), np.diff(np.searchsorted(first, ends), prepend=0)


def _codes(texts: Sequence[str]) -> tuple[Array, Array, Array | None, I64]:
    """Code points in lower case, which belong to units, which are units alone (None: none), where each text ends."""
    joined = "\n".join([*texts, ""])
    if joined.isascii():
        lengths = [len(text) + 1 for text in texts]
        codes: Array = np.frombuffer(joined.encode("ascii").translate(_ascii()), np.uint8)
        return codes, codes != 0, None, np.cumsum(lengths)
    lowered = [text.lower() for text in texts]  # may lengthen a text
    codes = np.frombuffer("\n".join([*lowered, ""]).encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = _kinds().take(codes)
    return codes, kinds != 0, kinds == _SINGLE, np.cumsum([len(text) + 1 for text in lowered])


def _rolling(values: U64, size: int) -> U64:
    """One hash for each run of `size` consecutive values."""
    runs = len(values) - size + 1
    if runs <= 0:
        return np.empty(0, np.uint64)
    result = values[:runs].copy()
    for i in range(1, size):
        result *= np.uint64(_BASE)
        result += values[i : i + runs]
    return mixed(result)


def mixed(x: U64) -> U64:
    """Spread every bit over the whole word, in place (the finaliser of SplitMix64, Steele et al. 2014)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x ^= x >> np.uint64(shift)
        x *= np.uint64(factor)
    x ^= x >> np.uint64(31)
    return x


def _offsets(counts: I64) -> I64:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))


@cache
def _powers(base: int) -> U64:
    powers = np.full(2 * _BATCH + 1, base, np.uint64)  # twice: lower case may lengthen a text
    powers[0] = 1
    return np.multiply.accumulate(powers)


@cache
def _ascii() -> bytes:
    """A table for bytes.translate: letters and digits in lower case, all else 0."""
    return bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else 0 for code in range(256))


@cache
def _kinds() -> Array:
    """What each code point is: 0 between units, 1 part of a word, 2 a unit of its own."""
    kinds = np.zeros(0x110000, np.uint8)
    for code in range(0x20000):
        letter = chr(code)
        if letter.isalnum() or unicodedata.category(letter).startswith("M"):
            kinds[code] = _WORD
    for script in UNSPACED:
        for first, last in RANGES[script]:
            span = kinds[first : last + 1]
            span[(span == _WORD) | (first >= 0x20000)] = _SINGLE
    return kinds
