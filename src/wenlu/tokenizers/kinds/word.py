"""One token a word."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from tokenizers import Tokenizer, decoders, models, trainers

from wenlu.tokenizers.config import TokenizerConfig
from wenlu.tokenizers.kinds.kind import Kind, mark_special, normalizer, too_large
from wenlu.tokenizers.patterns import WORDS, split
from wenlu.tokenizers.words import chinese_words, han_share

_UNREACHABLE = -1000.0
_EVERYTHING = 1 << 30
_SAMPLE_CHARACTERS = 1_000_000


def train(config: TokenizerConfig, texts: Iterable[str]) -> Tokenizer:
    """The most frequent words, each with the space before it; others are unknown."""
    chinese = config.segmentation == "rjieba"
    if config.segmentation == "auto":
        chinese, texts = _mostly_chinese(iter(texts))
    return _train_chinese(config, texts) if chinese else _train_unicode(config, texts)


def train_vocabulary(tokenizer: Tokenizer, config: TokenizerConfig, texts: Iterable[str]) -> None:
    """Fill a word-level `tokenizer` with the most frequent pieces; raises DataError if there are too few."""
    special = config.special_tokens
    room = _EVERYTHING if config.vocab_size == "auto" else config.vocab_size - len(special)
    trainer = trainers.WordLevelTrainer(
        vocab_size=room + len(special),  # for a word that is a special token is left out below
        min_frequency=config.min_frequency,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    ranked = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    words = [word for word, _ in ranked if word not in special][:room]
    if config.vocab_size != "auto" and len(words) < room:
        too_large(config, len(special) + len(words))
    vocabulary = {token: number for number, token in enumerate([*special, *words])}
    tokenizer.model = models.WordLevel(vocabulary, unk_token=config.unk_token)


def _train_unicode(config: TokenizerConfig, texts: Iterable[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(unk_token=config.unk_token))
    if (normal := normalizer(config)) is not None:
        tokenizer.normalizer = normal
    tokenizer.pre_tokenizer = split(WORDS)
    tokenizer.decoder = decoders.Fuse()
    train_vocabulary(tokenizer, config, texts)
    return mark_special(tokenizer, config.special_tokens)


def _train_chinese(config: TokenizerConfig, texts: Iterable[str]) -> Tokenizer:
    """Words as rjieba cuts them; text is then cut as jieba itself does: the likeliest path through the words.

    The cut is part of tokenizer.json, so that other programs that read it cut alike, without rjieba. A word
    that the vocabulary lacks falls apart into shorter words that it has.
    """
    normal = normalizer(config)
    pieces = split(WORDS)
    counts: Counter[str] = Counter()
    for text in texts:
        if normal is not None:
            text = normal.normalize_str(text)
        for piece, _ in pieces.pre_tokenize_str(text):
            counts.update(chinese_words(piece))
    room = None if config.vocab_size == "auto" else config.vocab_size - len(config.special_tokens)
    for token in config.special_tokens:
        del counts[token]
    ranked = sorted((item for item in counts.items() if item[1] >= config.min_frequency), key=lambda i: (-i[1], i[0]))
    if room is not None and len(ranked) < room:
        too_large(config, len(ranked) + len(config.special_tokens))
    kept = ranked[:room]
    log_total = math.log(sum(count for _, count in kept)) if kept else 0.0
    vocabulary = [(token, _UNREACHABLE) for token in config.special_tokens]
    vocabulary += [(word, round(math.log(count) - log_total, 6)) for word, count in kept]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=config.special_tokens.index(config.unk_token)))
    if normal is not None:
        tokenizer.normalizer = normal
    tokenizer.pre_tokenizer = pieces
    tokenizer.decoder = decoders.Fuse()
    return mark_special(tokenizer, config.special_tokens)


def _mostly_chinese(texts: Iterator[str]) -> tuple[bool, Iterator[str]]:
    """Whether Chinese characters are most letters of the first texts; and all texts, those included."""
    sample: list[str] = []
    seen = 0
    for text in texts:
        sample.append(text)
        seen += len(text)
        if seen >= _SAMPLE_CHARACTERS:
            break
    return han_share("".join(sample)[:_SAMPLE_CHARACTERS]) > 0.5, chain(sample, texts)


KIND = Kind("word", "words", train, exact=False)
