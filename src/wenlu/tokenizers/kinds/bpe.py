"""Byte-level byte-pair encoding."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from wenlu.tokenizers.config import TokenizerConfig
from wenlu.tokenizers.kinds.kind import Kind, mark_special, normalizer, too_large
from wenlu.tokenizers.patterns import PATTERNS, split

MOST = 4096
"""Tokens of a vocabulary whose size the settings leave to the text."""


def train(config: TokenizerConfig, texts: Iterable[str]) -> Tokenizer:
    """Merge the most frequent neighbours, from bytes up (Sennrich et al. 2016, arXiv:1508.07909; on bytes:
    Radford et al. 2019)."""
    most = MOST if config.vocab_size == "auto" else config.vocab_size
    tokenizer = Tokenizer(models.BPE())
    if (normal := normalizer(config)) is not None:
        tokenizer.normalizer = normal
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split(PATTERNS[config.pattern]), as_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=most,
        min_frequency=config.min_frequency,
        special_tokens=list(config.special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if config.vocab_size != "auto" and tokenizer.get_vocab_size() < most:
        too_large(config, tokenizer.get_vocab_size())
    return mark_special(tokenizer, config.special_tokens)


KIND = Kind("bpe", "byte-level BPE", train, exact=True)
