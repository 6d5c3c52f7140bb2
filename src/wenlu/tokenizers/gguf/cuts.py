"""How byte-level vocabularies of GGUF cut text, by the names of `tokenizer.ggml.pre`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from tokenizers.normalizers import Normalizer
from tokenizers.pre_tokenizers import PreTokenizer

from wenlu.tokenizers.patterns import PATTERNS, QWEN2, split, steps_of

_BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
_BYTES_OF_WORDS = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
# What llama.cpp does where a file names nothing, pattern after pattern.
_DEFAULT = (
    r"[\p{P}\$\+<=>\^~\|]+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
    r"\p{N}+",
    r"[0-9][0-9][0-9]",
)


@dataclass(frozen=True)
class Cut:
    """How text is cut before bytes are merged.

    Attributes:
        names: the values of `tokenizer.ggml.pre` that mean it; the first is written.
        whole: a piece that is a token is taken whole, whatever the merges say.
    """

    names: tuple[str, ...]
    build: Callable[[], PreTokenizer]
    normalizer: Callable[[], Normalizer] | None = None
    whole: bool = False

    def rules(self) -> tuple[Any, Any]:
        """Normaliser and cuts in a form that can be compared."""
        inner = Tokenizer(models.BPE())
        inner.pre_tokenizer = self.build()
        if self.normalizer is not None:
            inner.normalizer = self.normalizer()
        return rules_of(json.loads(inner.to_str()))


OWN = "wenlu-code"
CUTS: tuple[Cut, ...] = (
    Cut(("gpt-2", "gpt2"), lambda: _BYTES_OF_WORDS),
    Cut(
        ("smollm",),
        lambda: pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _BYTES_OF_WORDS]),
    ),
    Cut(
        ("llama-bpe", "llama3", "llama-v3"),
        lambda: pre_tokenizers.Sequence([split(PATTERNS["gpt4"]), _BYTES]),
        whole=True,
    ),
    Cut(("qwen2",), lambda: pre_tokenizers.Sequence([split(QWEN2), _BYTES]), normalizer=normalizers.NFC),
    Cut(("default",), lambda: pre_tokenizers.Sequence([*map(split, _DEFAULT), _BYTES])),
    Cut((OWN,), lambda: pre_tokenizers.Sequence([split(PATTERNS["code"]), _BYTES])),
)
"""The last is our own, which llama.cpp refuses by its name; no pattern of its list cuts so."""


def cut_named(name: str) -> Cut | None:
    return next((cut for cut in CUTS if name in cut.names), None)


def cut_like(document: dict[str, Any]) -> Cut | None:
    """The one that a tokenizer.json cuts by."""
    return next((cut for cut in CUTS if cut.rules() == rules_of(document)), None)


def rules_of(document: dict[str, Any]) -> tuple[Any, Any]:
    """The normaliser and the cuts of a tokenizer.json, without what has no effect on ids."""
    return steps_of(document["normalizer"], "normalizers"), steps_of(document["pre_tokenizer"], "pretokenizers")
