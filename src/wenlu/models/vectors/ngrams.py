"""FastText's parts of words: a vector for each of the buckets that n-grams of characters are hashed into.

Bojanowski, Grave, Joulin & Mikolov 2017, Enriching word vectors with subword information, arXiv:1607.04606.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Matrix = np.ndarray[Any, np.dtype[np.float32]]

_OFFSET, _PRIME = 2166136261, 16777619  # FNV-1a with 32 bits
_SIGN = 0xFFFFFF00


@dataclass(frozen=True, eq=False)
class NgramVectors:
    """Vectors of the n-grams of `shortest` to `longest` characters.

    Attributes:
        matrix: (buckets, D) float32; several n-grams share a bucket.
    """

    shortest: int
    longest: int
    matrix: Matrix

    def vector(self, word: str) -> Matrix | None:
        """(D,) the mean over the word's n-grams; None for a word without any."""
        buckets = [hash_ngram(part) % len(self.matrix) for part in ngrams(word, self.shortest, self.longest)]
        if not buckets:
            return None
        mean: Matrix = self.matrix[buckets].mean(axis=0, dtype=np.float32)
        return mean


def ngrams(word: str, shortest: int, longest: int) -> Iterator[bytes]:
    """The n-grams of `<word>`, in UTF-8; its two marks alone are none."""
    marked = f"<{word}>"
    for start in range(len(marked)):
        for end in range(start + shortest, min(start + longest, len(marked)) + 1):
            if end - start > 1 or 0 < start < len(marked) - 1:
                yield marked[start:end].encode("utf-8", errors="surrogatepass")


def hash_ngram(data: bytes) -> int:
    """FNV-1a as FastText computes it: each byte is first read as a signed number."""
    value = _OFFSET
    for byte in data:
        value ^= byte | _SIGN if byte & 0x80 else byte
        value = value * _PRIME & 0xFFFFFFFF
    return value
