"""Unigram: the likeliest cut of each text under a model of independent pieces."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, trainers

from wenlu.tokenizers.config import ASCII, BYTES, TokenizerConfig
from wenlu.tokenizers.kinds.kind import Kind, frequent_characters, mark_special, normalizer, too_large
from wenlu.tokenizers.patterns import PATTERNS, split

MAX_PIECE_CHARACTERS = 16
_COVERAGE = 0.9995  # of all characters; rarer ones are spelt in bytes (SentencePiece's default)
_KEPT_A_ROUND = 0.75  # Kudo 2018 prunes to 80 %, SentencePiece to 75 %
_SEEDS_A_TOKEN = 4  # with 8, or with two counts a round, the vocabulary fits no better
_TEXTS_A_BATCH = 50_000
_UNREACHABLE = -1000.0  # below any path of ordinary pieces, so that literal "<0x41>" is text, not a byte

Counts = np.ndarray[Any, np.dtype[np.float64]]
Scores = dict[str, float]


def train(config: TokenizerConfig, texts: Iterable[str]) -> Tokenizer:
    """Learn pieces and their probabilities (Kudo 2018, arXiv:1804.10959), in a way that gives the same result
    on each run, which the library's own trainer does not.

    Seeds are the pieces of a larger BPE. Each round counts pieces along the best cut of every word (the paper
    takes expected counts), then drops those whose loss would cost the likelihood least.
    """
    assert config.vocab_size != "auto", "the settings refuse it"
    normal = normalizer(config)
    cut = split(PATTERNS[config.pattern])
    words: Counter[str] = Counter()

    def counted() -> Iterator[list[str]]:
        for text in texts:
            text = text if normal is None else normal.normalize_str(text)
            pieces = [piece for piece, _ in cut.pre_tokenize_str(text)]
            words.update(pieces)
            yield pieces

    seeds = _seeds(config, counted())
    fixed = len(config.special_tokens) + BYTES
    room = config.vocab_size - fixed
    alphabet = _alphabet(words, seeds, room)
    pieces = _prune(words, _spelt_in(alphabet, seeds), alphabet, target=room)
    if fixed + len(pieces) < config.vocab_size:
        too_large(config, fixed + len(pieces))
    vocabulary = [(token, _UNREACHABLE) for token in config.special_tokens]
    vocabulary += [(f"<0x{byte:02X}>", _UNREACHABLE) for byte in range(BYTES)]
    # Six decimals: the library's reader of JSON changes the last bit of longer ones.
    rounded = [(piece, round(score, 6)) for piece, score in pieces.items()]
    vocabulary += sorted(rounded, key=lambda item: (-item[1], item[0]))
    # The library asks for an id of the unknown piece, which bytes make unreachable.
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=True))
    if normal is not None:
        tokenizer.normalizer = normal
    tokenizer.pre_tokenizer = cut
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return mark_special(tokenizer, config.special_tokens)


def _seeds(config: TokenizerConfig, pieces: Iterator[list[str]]) -> list[str]:
    """Frequent strings of several characters, more than are wanted."""
    assert config.vocab_size != "auto"
    bpe = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=_SEEDS_A_TOKEN * config.vocab_size,
        min_frequency=config.min_frequency,
        max_token_length=MAX_PIECE_CHARACTERS,
        show_progress=False,
    )
    bpe.train_from_iterator(pieces, trainer)
    return sorted(token for token in bpe.get_vocab().keys() - set(config.special_tokens) if len(token) > 1)


def _alphabet(words: Counter[str], seeds: list[str], room: int) -> list[str]:
    """The characters that are tokens: half of the room at most, more where there are not pieces enough to fill it."""
    characters = frequent_characters(words, always=ASCII, coverage=_COVERAGE)
    most = max(len(ASCII), room // 2)
    return characters[: max(most, room - len(_spelt_in(characters[:most], seeds)))]


def _spelt_in(alphabet: list[str], strings: Iterable[str]) -> list[str]:
    known = set(alphabet)
    return [string for string in strings if known.issuperset(string)]


def _prune(words: Counter[str], seeds: list[str], alphabet: list[str], *, target: int) -> Scores:
    """`target` pieces (fewer if there are no more) with their log-probabilities; all of `alphabet` stays."""
    # A single character has one cut, and a word with a rare character is spelt in bytes there.
    texts = [word for word in _spelt_in(alphabet, words) if len(word) > 1]
    weights = np.array([words[text] for text in texts], np.float64)
    scores = dict.fromkeys([*alphabet, *seeds], -10.0)  # all alike, so the first cut takes as few pieces as it can
    while True:
        counts = _count(scores, texts, weights)
        for character in alphabet:
            counts[character] += words[character]
        scores = _log_shares(counts)
        if len(scores) <= target:
            return scores
        losses = {
            piece: counts[piece] * (scores[piece] - _without(piece, scores)) for piece in scores.keys() - set(alphabet)
        }
        ranked = sorted(losses, key=lambda piece: (-losses[piece], piece))
        size = max(target, int(_KEPT_A_ROUND * len(scores)))
        scores = {piece: scores[piece] for piece in [*alphabet, *ranked[: size - len(alphabet)]]}


def _log_shares(counts: Scores) -> Scores:
    """Log-probability of each piece, as if the best cuts had it once in two texts where they do not have it."""
    seen = {piece: max(count, 0.5) for piece, count in counts.items()}
    total = math.log(math.fsum(seen.values()))
    return {piece: math.log(count) - total for piece, count in seen.items()}


def _count(scores: Scores, texts: list[str], weights: Counts) -> Scores:
    """How often each piece stands in the best cuts of `texts`."""
    cutter = Tokenizer(models.Unigram(list(scores.items()), unk_id=0))
    counts = np.zeros(len(scores))
    for start in range(0, len(texts), _TEXTS_A_BATCH):
        part = slice(start, start + _TEXTS_A_BATCH)
        cuts = [encoding.ids for encoding in cutter.encode_batch_fast(texts[part])]
        ids = np.fromiter(chain.from_iterable(cuts), np.int64)
        counts += np.bincount(ids, np.repeat(weights[part], [len(cut) for cut in cuts]), len(scores))
    return dict(zip(scores, counts.tolist(), strict=True))


def _without(piece: str, scores: Scores) -> float:
    """Log-probability of the best cut of `piece` into shorter pieces."""
    best = [0.0] + [-math.inf] * len(piece)
    for end in range(1, len(piece) + 1):
        for start in range(end):
            score = scores.get(piece[start:end])
            if score is not None and end - start < len(piece):
                best[end] = max(best[end], best[start] + score)
    return best[-1]


KIND = Kind("unigram", "Unigram", train, exact=True)
