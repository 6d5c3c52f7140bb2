"""One token a character."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models

from wenlu.tokenizers.config import TokenizerConfig
from wenlu.tokenizers.kinds.kind import Kind, mark_special, normalizer
from wenlu.tokenizers.kinds.word import train_vocabulary
from wenlu.tokenizers.patterns import CHARACTERS, split


def train(config: TokenizerConfig, texts: Iterable[str]) -> Tokenizer:
    """The most frequent code points; others are unknown."""
    tokenizer = Tokenizer(models.WordLevel(unk_token=config.unk_token))
    if (normal := normalizer(config)) is not None:
        tokenizer.normalizer = normal
    tokenizer.pre_tokenizer = split(CHARACTERS)
    tokenizer.decoder = decoders.Fuse()
    train_vocabulary(tokenizer, config, texts)
    return mark_special(tokenizer, config.special_tokens)


KIND = Kind("char", "characters", train, exact=False)
