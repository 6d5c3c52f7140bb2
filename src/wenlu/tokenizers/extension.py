"""More tokens for a byte-level BPE that is there already, learnt of text in a language that it spells in bytes.

Pairs of tokens are joined as in training, but from the tokens that the old merges leave, and the new merges stand
behind the old ones. So the old ones are done first in every text, and new tokens are made of what they leave: each is a
run of old tokens, no id changes, and a text that has none of the new tokens is cut as it was.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import tokenizers

from wenlu.errors import ConfigError, DataError
from wenlu.progress import QUIET, Progress
from wenlu.tokenizers.patterns import steps_of
from wenlu.tokenizers.tokenizer import Tokenizer, parts_of

SHARE = 1000
"""Progress is told after so many tokens."""
Pair = tuple[str, str]


@dataclass
class Word:
    """What the cuts leave whole: its tokens, and how often it stands in the text."""

    tokens: list[str]
    count: int


def extended(tokenizer: Tokenizer, texts: Iterable[str], count: int, *, progress: Progress = QUIET) -> Tokenizer:
    """The tokenizer with `count` tokens more, whose ids follow its own, learnt from `texts`.

    The pair that stands most often is joined first; of equals the first in the order of their bytes.

    Raises ConfigError where it is no byte-level BPE, DataError where the text does not support so many.
    """
    inner = tokenizers.Tokenizer.from_str(tokenizer._inner.to_str())
    rules: dict[str, Any] = json.loads(inner.to_str())
    if rules["model"]["type"] != "BPE" or not _is_byte_level(rules):
        kind = rules["model"]["type"]
        raise ConfigError(f"tokenizer.extend_by: is for byte-level BPE, and that of the base is {kind}; leave it out")
    progress.start("extend", total=count, unit="tokens")
    words = _words(inner, texts)
    if not words:
        raise DataError("no text to learn further tokens from; check data.train")
    known = {*rules["model"]["vocab"], *tokenizer.special_tokens}
    merges = _joined(words, known, count, progress)
    if len(merges) < count:
        raise DataError(
            f"tokenizer.extend_by = {count} is more than the text supports: {len(merges)} pairs stand in it twice; "
            f"try {len(merges)} or less, or more text"
        )
    first = tokenizer.vocab_size
    rules["model"]["vocab"] |= {left + right: first + number for number, (left, right) in enumerate(merges)}
    old = rules["model"]["merges"]
    are_texts = bool(old) and isinstance(old[0], str)
    rules["model"]["merges"] = [*old, *(" ".join(pair) if are_texts else list(pair) for pair in merges)]
    progress.finish(f"{count:,} tokens more than {first:,}")
    return Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(rules)), tokenizer.roles, tokenizer.settings)


def spelt(tokenizer: Tokenizer, before: Tokenizer) -> dict[int, list[int]]:
    """Of each token that `extended` added to `before` the run of tokens that spelt it before."""
    vocab: dict[str, int] = json.loads(before._inner.to_str())["model"]["vocab"]
    pieces = {token: [id] for token, id in vocab.items()}
    rules = json.loads(tokenizer._inner.to_str())["model"]
    found = {}
    for merge in rules["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        if left + right not in pieces:
            pieces[left + right] = [*pieces[left], *pieces[right]]
            found[rules["vocab"][left + right]] = pieces[left + right]
    return found


def _is_byte_level(rules: dict[str, Any]) -> bool:
    steps = steps_of(rules["pre_tokenizer"], "pretokenizers")
    return any(step["type"] == "ByteLevel" for step in steps)


def _words(inner: tokenizers.Tokenizer, texts: Iterable[str]) -> list[Word]:
    counts: Counter[str] = Counter()
    for text in texts:
        for part in parts_of(text):
            whole = part if inner.normalizer is None else inner.normalizer.normalize_str(part)
            counts.update(piece for piece, _ in inner.pre_tokenizer.pre_tokenize_str(whole))
    return [Word([token.value for token in inner.model.tokenize(piece)], count) for piece, count in counts.items()]


def _joined(words: Sequence[Word], known: set[str], count: int, progress: Progress) -> list[Pair]:
    """The pairs that are joined, in order, each of which makes a token that is not `known` yet."""
    times: Counter[Pair] = Counter()
    places: defaultdict[Pair, set[int]] = defaultdict(set)
    for number, word in enumerate(words):
        for pair in pairwise(word.tokens):
            times[pair] += word.count
            places[pair].add(number)
    heap = [(-often, pair) for pair, often in times.items() if often > 1]
    heapq.heapify(heap)
    merges: list[Pair] = []
    while heap and len(merges) < count:
        often, pair = heapq.heappop(heap)
        if -often != times[pair]:
            if times[pair] > 1:
                heapq.heappush(heap, (-times[pair], pair))
            continue
        token = pair[0] + pair[1]
        if token in known:  # the old merges make it of other parts, and would do so before
            continue
        known.add(token)
        merges.append(pair)
        grown: set[Pair] = set()
        for number in places.pop(pair):
            grown |= _join_in(words[number], number, pair, token, times, places)
        for each in grown:
            if times[each] > 1:
                heapq.heappush(heap, (-times[each], each))
        del times[pair]
        if len(merges) % SHARE == 0:
            progress.update(len(merges))
    return merges


def _join_in(
    word: Word, number: int, pair: Pair, token: str, times: Counter[Pair], places: defaultdict[Pair, set[int]]
) -> set[Pair]:
    """Join the pair in a word; returns the pairs that are new there."""
    for each in pairwise(word.tokens):
        times[each] -= word.count
    tokens, place = list[str](), 0
    while place < len(word.tokens):
        if tuple(word.tokens[place : place + 2]) == pair:
            tokens.append(token)
            place += 2
        else:
            tokens.append(word.tokens[place])
            place += 1
    word.tokens = tokens
    for each in pairwise(tokens):
        times[each] += word.count
        places[each].add(number)
    return {each for each in pairwise(tokens) if token in each}
