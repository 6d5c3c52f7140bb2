"""Byte-level BPE in bulk: the merges of tiktoken, where its ids are provably those of `tokenizers`.

tiktoken joins neighbours wherever their bytes are a token, the lowest rank first; `tokenizers` joins listed pairs only,
in the order of the list. Both take the leftmost of equals. The ids are equal where each ranked token is what
`tokenizers` itself makes of that token's bytes:

- Joins inside a stretch that no token crosses do not depend on what stands around it. So a token that is not made of
  its own bytes alone is made in no text, and needs no rank.
- Let x and y be the first that tiktoken joins, to c, though the pair is not listed. Until then both did the same, so on
  the bytes of c alone `tokenizers` comes to x and y too, and stops there: but it makes c of them.

What cuts the text before is checked apart: only patterns that both engines are known to read alike, and the classes of
characters of the installed versions.
"""

from __future__ import annotations

import json
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
import tokenizers
from tiktoken._tiktoken import CoreBPE
from tokenizers import Regex
from tokenizers.pre_tokenizers import Digits, PreTokenizer, Split

from wenlu.tokenizers.decoding import BYTE_OF
from wenlu.tokenizers.patterns import PATTERNS, QWEN2, steps_of

Ids = np.ndarray[Any, np.dtype[np.uint32]]
Counts = np.ndarray[Any, np.dtype[np.int64]]
Buffer = Any
"""What NumPy and memoryview read; Python names it from 3.12 on."""

RANK_BYTES = 4

_BYTES = 256
_END = r"|\s+(?!\S)|\s+"
_CUTS = {pattern: pattern for pattern in (*PATTERNS.values(), QWEN2)}
_CLASSES = (r"\p{L}", r"\p{N}", r"\p{M}", r"\s")
_ASSIGNED = (*range(0xD800), *range(0xE000, 0x40000), *range(0xE0000, 0xE1000))
_ALL = range(0x110000)
_UNICODE_NORMALIZERS = ("NFC", "NFD", "NFKC", "NFKD")
# Without any special token tiktoken looks for one at every character. This one is never allowed, so it is text.
_NO_SPECIAL = "<|none|>"
_NOTHING: set[str] = set()
_ODD = (
    "",
    "\n",
    "\t\t  x  b   c    d \n\n\n  e\r\n\r\n f \u3000\u3000g\u00a0\u00a0h\u2028i\x85j\x1ck\0l \n ",
    "I'm we'RE it'S don'ſ they'll 'tis ''s 0 12 345 6789 1,000.5 ½ ²³ Ⅷ ٣٤٥ ১২৩ 1a2b 3 4  5   6",
    "return_value = foo(bar)[0];  # !?...\n\n\tif x:\n        pass\n<|endoftext|><|pad|> <s></s> [SEP]",
    "naïve e\u0301\u0323 क्षि ą́ ﬁ ǆ ß ſ İ ı K 三只猫。“水轮”，2026年！ｆｕｌｌ　ｗｉｄｔｈ 𠮷𪚥 ひらがなカタカナ 한국어",
    "🐈\u200d⬛👍🏽🇨🇳 ☺\ufe0f \U000e0001 \ufeff \ufffd \ufffe \u200b \u061c",
    *(character * 5000 + "x" for character in "a =\n字"),
)


class BytePairs:
    """Ids of texts by tiktoken; `byte_pairs` makes it.

    Args:
        core: gives ranks.
        ids: (ranks,) the id of each.
        foreign: what a text must not hold, such as added tokens.
    """

    def __init__(self, core: CoreBPE, ids: Ids, foreign: re.Pattern[str] | None) -> None:
        self._core = core
        self._ids = ids
        self._foreign = foreign

    def encode(self, text: str) -> Ids | None:
        """Ids of `text`, or None where it holds what only `tokenizers` knows; raises as `ranks` does."""
        ranks = self.ranks(text)
        return None if ranks is None else self.ids(ranks)

    def ranks(self, text: str) -> Buffer | None:
        """What `ids` reads, or None as `encode`; does not hold the interpreter lock.

        Raises UnicodeEncodeError for half of a surrogate pair.
        """
        if self._foreign is not None and self._foreign.search(text):
            return None
        return self._core.encode_to_tiktoken_buffer(text, _NOTHING)

    def ids(self, ranks: Buffer) -> Ids:
        return self._ids[np.frombuffer(ranks, np.uint32)]


def byte_pairs(inner: tokenizers.Tokenizer, control: Collection[int]) -> BytePairs | None:
    """The tokenizer by tiktoken, or None where its ids are not known to be the same.

    Args:
        inner: has no truncation, padding nor dropout, and reads special tokens as text.
        control: ids that no text may yield.
    """
    rules: dict[str, Any] = json.loads(inner.to_str())
    vocab = rules["model"]["vocab"]
    pattern = _pattern(steps_of(rules["pre_tokenizer"], "pretokenizers"))
    normal = [step["type"] for step in steps_of(rules["normalizer"], "normalizers")]
    if pattern is None or not set(normal) <= set(_UNICODE_NORMALIZERS) or not _is_plain(rules["model"]):
        return None
    made, lost = _made_and_lost(rules)
    order = _order(rules["model"]["merges"])
    if order is None or (rules["model"]["ignore_merges"] and any(_is_a_piece(token, inner) for token in lost)):
        return None
    lacking = [token for token in _ALPHABET if token not in vocab]
    joined = [token for token in order if token in made]
    if not {vocab[token] for token in made}.isdisjoint(control) or not engines_agree():
        return None
    assert len(made) + len(lacking) == _BYTES + len(joined), "what merges make is a byte or in their list"
    ranked = [*_ALPHABET, *joined]
    ids = np.array([vocab.get(token, 0) for token in ranked], np.uint32)
    ranks = {_bytes(token): rank for rank, token in enumerate(ranked)}
    core = CoreBPE(ranks, {_NO_SPECIAL: len(ranks)}, _grouped(pattern))
    added = [token["content"] for token in rules["added_tokens"] if not token["special"]]
    foreign = [*map(re.escape, added), *_characters(lacking), *[r"[^\x00-\x7f]"] * bool(normal)]
    pairs = BytePairs(core, ids, re.compile("|".join(foreign)) if foreign else None)
    return pairs if _agrees(pairs, inner, ranks) else None


@lru_cache(maxsize=1)
def engines_agree() -> bool:
    """Whether both engines read the classes of characters alike; versions of Unicode differ in what they assign."""
    return all(_alike(name, _looked_at()) for name in _CLASSES)


@lru_cache(maxsize=1)
def _looked_at() -> str:
    """All characters that Python's own tables do not know, and of those that they know the ends of each stretch of one
    category; without the planes that are empty or private."""
    found: list[str] = []
    for category, group in groupby(map(chr, _ASSIGNED), unicodedata.category):
        stretch = list(group)
        found += stretch if category == "Cn" else [stretch[0], stretch[-1]]
    return "".join(found)


def _alike(name: str, text: str) -> bool:
    """Whether a class has the same characters of `text` in both."""
    # tiktoken leaves out what its pattern does not match
    core = CoreBPE({bytes([byte]): byte for byte in range(_BYTES)}, {}, f"{name}+")
    inside = core.decode_bytes(core.encode_ordinary(text)).decode()
    outside = "".join(_cuts(Split(Regex(f"(?:{name})+"), "removed"), text))
    return len(inside) + len(outside) == len(text) and set(inside).isdisjoint(outside)


@lru_cache(maxsize=1)
def _single_digits() -> str | None:
    """Every digit apart, then GPT-2's pattern between digits, where a text ends for it.

    `Digits` may know more digits than the patterns do, since its tables are of another version.
    """
    text = _looked_at()
    digits = {piece for piece in _cuts(Digits(individual_digits=True), "a".join(text)) if len(piece) == 1} - {"a"}
    numbers = set(text).difference(*_cuts(Split(Regex(r"\p{N}+"), "removed"), text))
    if not numbers <= digits:
        return None
    digit = r"\p{N}" + "".join(sorted(digits - numbers))
    between = PATTERNS["gpt2"].replace(r"| ?\p{N}+", "").removesuffix(_END).replace(r"\p{N}", digit)
    return rf"[{digit}]|{between}|\s+(?![^\s{digit}])|\s+"


def _cuts(cutter: PreTokenizer, text: str) -> list[str]:
    return [piece for piece, _ in cutter.pre_tokenize_str(text)]


def _pattern(steps: list[dict[str, Any]]) -> str | None:
    """What tiktoken cuts by, for the steps before the merges; None for steps that are not known."""
    match steps:
        case [*cuts, {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]:
            pass
        case _:
            return None
    match cuts:
        case [{"type": "Split", "pattern": {"Regex": cut}, "behavior": "Isolated", "invert": False}]:
            return _CUTS.get(cut)
        case [
            {"type": "Digits", "individual_digits": True},
            {"type": "Split", "pattern": {"Regex": cut}, "behavior": "Isolated", "invert": False},
        ] if cut == PATTERNS["gpt2"]:
            return _single_digits()
        case _:
            return None


def _grouped(pattern: str) -> str:
    """The same with all that has no look-ahead in one group, which tiktoken's engine then reads in one go."""
    end = pattern.index(r"|\s+(?!")
    return f"(?:{pattern[:end]}){pattern[end:]}"


def _is_plain(model: Mapping[str, Any]) -> bool:
    return (
        model["type"] == "BPE"
        and {token for token in _ALPHABET if 0x80 <= BYTE_OF[token] < 0xC0} <= model["vocab"].keys()
        and not (model["dropout"] or model["continuing_subword_prefix"] or model["end_of_word_suffix"])
        and not model["byte_fallback"]
    )


def _made_and_lost(rules: dict[str, Any]) -> tuple[set[str], list[str]]:
    """The tokens that merges make of their own bytes, and the others."""
    nothing = dict.fromkeys(("normalizer", "pre_tokenizer", "post_processor", "decoder", "truncation", "padding"))
    model = {**rules["model"], "ignore_merges": False}
    merges = tokenizers.Tokenizer.from_str(json.dumps({**rules, **nothing, "added_tokens": [], "model": model}))
    tokens = [token for token in model["vocab"] if token and BYTE_OF.keys() >= set(token)]
    found = merges.encode_batch_fast(tokens, add_special_tokens=False)
    made = {token for token, pieces in zip(tokens, found, strict=True) if len(pieces.ids) == 1}
    return made, [token for token in model["vocab"] if token not in made]


def _characters(first_bytes: list[str]) -> list[str]:
    """Patterns of the characters whose UTF-8 begins with one of these bytes, written in the alphabet of bytes."""
    found = []
    for byte in map(BYTE_OF.__getitem__, first_bytes):
        start, stop = (side(_ALL, byte, key=_first_byte) for side in (bisect_left, bisect_right))
        if start < stop:
            found.append(f"[{re.escape(chr(start))}-{re.escape(chr(stop - 1))}]")
    return found


def _first_byte(code: int) -> int:
    return ord(chr(code).encode(errors="surrogatepass")[:1])


def _order(merges: list[Any]) -> list[str] | None:
    """The tokens in the order in which pairs make them; None where pairs of one token stand apart in the list."""
    order = [token for token, _ in groupby("".join(pair) for pair in merges)]
    return order if len(set(order)) == len(order) else None


def _is_a_piece(token: str, inner: tokenizers.Tokenizer) -> bool:
    """Whether the cuts may leave the token whole."""
    if not BYTE_OF.keys() >= set(token):
        return False
    try:
        text = _bytes(token).decode()
    except UnicodeDecodeError:  # cuts are between characters
        return False
    assert inner.pre_tokenizer is not None, "it has a pattern"
    return len(inner.pre_tokenizer.pre_tokenize_str(text)) == 1


def _agrees(pairs: BytePairs, inner: tokenizers.Tokenizer, ranks: Collection[bytes]) -> bool:
    """Whether both give the same ids of odd texts and of all tokens in a row: a check of the proof, and of versions."""
    by_ending: list[bytes] = sorted(ranks, key=lambda token: token[::-1])
    every = b"".join(by_ending).decode(errors="ignore")
    texts = [*_ODD, every, *(every[i : i + 64] for i in range(0, 4096, 64))]
    expected = inner.encode_batch_fast(texts, add_special_tokens=False)
    found = [pairs.encode(text) for text in texts]
    return all(ids is None or ids.tolist() == theirs.ids for ids, theirs in zip(found, expected, strict=True))


def _bytes(token: str) -> bytes:
    return bytes(BYTE_OF[character] for character in token)


_ALPHABET = sorted(BYTE_OF, key=BYTE_OF.__getitem__)
