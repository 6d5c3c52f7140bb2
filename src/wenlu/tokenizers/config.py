"""Settings of a tokenizer that is trained."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from wenlu.config import Config
from wenlu.tokenizers.patterns import PatternName

KindName = Literal["bpe", "unigram", "wordpiece", "char", "word"]
BYTES = 256
ASCII = tuple(chr(code) for code in range(32, 127))
_BASE = {"bpe": BYTES, "unigram": BYTES + len(ASCII), "wordpiece": 1, "char": 1, "word": 1}


class TokenizerConfig(Config):
    """What to learn from the text.

    Attributes:
        kind: byte-level BPE (any text, exactly), Unigram with bytes for rare characters (any text, exactly),
            WordPiece as BERT cuts text (spaces are lost), single characters, or whole words.
        vocab_size: all tokens, special ones included; "auto" takes every character or word of the text, and of byte
            pairs as many as it supports, at most 4,096.
        min_frequency: what occurs less often becomes no token.
        normalization: Unicode form in which text is read; anything but "none" makes decoding inexact.
        pattern: how text is cut before subwords are learnt (bpe, unigram); see `patterns`.
        segmentation: how words are found (word): runs of letters and digits, or `rjieba` for Chinese;
            "auto" takes `rjieba` where most letters of the first megabyte are Chinese characters.
        extend_by: with `model.base`, whose tokenizer is taken over: so many further tokens are learnt of the training
            text and follow its own (byte-level BPE); other settings are for new tokenizers.
        unk_token: stands for what the vocabulary lacks (wordpiece, char, word).
    """

    kind: KindName = "bpe"
    vocab_size: PositiveInt | Literal["auto"] = 4096
    min_frequency: PositiveInt = 2
    lowercase: bool = False
    normalization: Literal["none", "nfc", "nfkc"] = "none"
    pattern: PatternName = "code"
    segmentation: Literal["auto", "unicode", "rjieba"] = "auto"
    extend_by: PositiveInt | None = None
    bos_token: str = "<|endoftext|>"
    eos_token: str = "<|endoftext|>"
    pad_token: str = "<|pad|>"
    unk_token: str = "<|unk|>"
    extra_special_tokens: tuple[str, ...] = ()

    @property
    def has_unk(self) -> bool:
        return self.kind in ("wordpiece", "char", "word")

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """All special tokens in the order of their ids, which start at 0."""
        unk = (self.unk_token,) if self.has_unk else ()
        tokens = (self.eos_token, self.bos_token, self.pad_token, *unk, *self.extra_special_tokens)
        return tuple(dict.fromkeys(tokens))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.vocab_size == "auto" and self.kind not in ("bpe", "char", "word"):
            raise ValueError(
                f"vocab_size = 'auto' is for bpe, char and word; give {self.kind} a number, for example 4096"
            )
        if self.pattern != "code" and self.kind not in ("bpe", "unigram"):
            raise ValueError(f"pattern = {self.pattern!r} has no effect on {self.kind}; it is for bpe and unigram")
        if self.segmentation != "auto" and self.kind != "word":
            raise ValueError(f"segmentation = {self.segmentation!r} has no effect on {self.kind}; it is for word")
        for token in self.special_tokens:
            if not token or token != token.strip():
                raise ValueError(f"special token {token!r} is empty or starts or ends with a space")
        if self.has_unk and self.unk_token in (self.bos_token, self.eos_token, self.pad_token):
            raise ValueError(
                f"unk_token {self.unk_token!r} has another role too; unknown text needs a token of its own"
            )
        least = len(self.special_tokens) + _BASE[self.kind]
        if self.vocab_size != "auto" and self.vocab_size < least:
            raise ValueError(
                f"vocab_size = {self.vocab_size} is too small: {self.kind} with {len(self.special_tokens)} special "
                f"tokens starts from {least}"
            )
        return self
