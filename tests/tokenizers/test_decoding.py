"""Text of ids: as the library decodes them, at once and one by one."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers

from wenlu.errors import DataError, WeightsError
from wenlu.tokenizers import Tokenizer
from wenlu.tokenizers.decoding import rules_of
from wenlu.tokenizers.files import Roles

SPECIAL = "<s>"
WORDS = [
    "▁the",
    "▁",
    "▁▁",
    "cat",
    "▁cat▁",
    "s",
    "##s",
    "##",
    "你",
    "🐈",
    " x ",
    ".",
    "▁n't",
    "do not",
    "d</w>",
    "</w>",
    "<0x41>",
]
LLAMA = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
DECODERS: dict[str, Any] = {
    "none": None,
    "metaspace always": decoders.Metaspace(prepend_scheme="always"),
    "metaspace first": decoders.Metaspace(prepend_scheme="first"),
    "metaspace never": decoders.Metaspace(prepend_scheme="never"),
    "wordpiece": decoders.WordPiece("##", cleanup=False),
    "wordpiece, tidied": decoders.WordPiece("##", cleanup=True),
    "suffix": decoders.BPEDecoder("</w>"),
    "fuse": decoders.Fuse(),
    "llama 2": decoders.Sequence(LLAMA),
    "strip the text": decoders.Sequence([decoders.Fuse(), decoders.Strip("s", 2, 0)]),
    "strip each token": decoders.Sequence([decoders.Strip("#", 1, 0), decoders.Fuse()]),
    "pattern": decoders.Sequence([decoders.Replace(tokenizers.Regex("[aeiou]+"), "*"), decoders.Fuse()]),
}


def with_decoder(decoder: Any, words: list[str]) -> Tokenizer:
    inner = tokenizers.Tokenizer(models.WordLevel({word: i for i, word in enumerate([SPECIAL, *words])}, unk_token="s"))
    inner.add_special_tokens([SPECIAL])
    if decoder is not None:
        inner.decoder = decoder
    return Tokenizer(inner, Roles(eos=SPECIAL))


def byte_tokenizer() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = with_decoder(decoders.ByteLevel(), [*alphabet, "ä½łå¥½", "ðŁĲĪ"])
    tokenizer._inner.add_tokens(["中 文", "Ġé"])
    return Tokenizer(tokenizer._inner, Roles(eos=SPECIAL))


# Tokens with a suffix end in it and have no spaces.
SUFFIXED = [
    "d</w>",
    "</w>",
    "cat</w>",
    "c",
    "at",
    "猫</w>",
    "猫",
    "##",
    "_",
    ".</w>",
    ",",
    "'",
    "a",
    "b</w>",
    "x",
    "y",
    "z",
]
TOKENIZERS = {n: with_decoder(d, SUFFIXED if n == "suffix" else WORDS) for n, d in DECODERS.items()}
BYTES = byte_tokenizer()
FALLBACK = with_decoder(decoders.Sequence(LLAMA), ["▁a", *(f"<0x{byte:02X}>" for byte in range(256))])
ids_below = lambda size: st.lists(st.integers(0, size - 1), max_size=12)  # noqa: E731


@pytest.mark.parametrize("name", DECODERS)
@settings(deadline=None)
@given(ids=ids_below(len(WORDS) + 1), skip_special=st.booleans())
def test_decode_equals_the_library(name: str, ids: list[int], skip_special: bool) -> None:
    tokenizer = TOKENIZERS[name]
    theirs = tokenizer._inner.decode(ids, skip_special_tokens=skip_special)
    assert tokenizer.decode(ids, skip_special=skip_special) == theirs


@settings(deadline=None)
@given(ids=ids_below(BYTES.vocab_size), skip_special=st.booleans())
def test_bytes_decode_as_the_library_decodes_them_even_if_they_spell_no_character(
    ids: list[int], skip_special: bool
) -> None:
    assert BYTES.decode(ids, skip_special=skip_special) == BYTES._inner.decode(ids, skip_special_tokens=skip_special)


@settings(deadline=None)
@given(text=st.text(max_size=20))
def test_bytes_in_place_of_rare_characters_decode_as_the_library_decodes_them(text: str) -> None:
    ids = [FALLBACK._inner.token_to_id(f"<0x{byte:02X}>") for byte in text.encode()]
    assert FALLBACK.decode(ids) == FALLBACK._inner.decode(ids)


@pytest.mark.parametrize("name", [name for name in TOKENIZERS if name != "suffix"])  # which is cut at the end as well
def test_a_token_that_begins_a_text_is_spelt_as_the_library_decodes_it_alone(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    for token_id in range(tokenizer.vocab_size):
        assert tokenizer.first_spelling(token_id).decode() == tokenizer._inner.decode([token_id], False)


@pytest.mark.parametrize("tokenizer", [*TOKENIZERS.values(), BYTES, FALLBACK], ids=[*TOKENIZERS, "bytes", "fallback"])
@settings(deadline=None)
@given(data=st.data(), skip_special=st.booleans())
def test_a_stream_joined_is_decode(tokenizer: Tokenizer, data: st.DataObject, skip_special: bool) -> None:
    stream = tokenizer.stream(skip_special=skip_special)
    for _ in range(2):  # a flushed stream begins anew
        ids = data.draw(ids_below(tokenizer.vocab_size))
        text = "".join([*map(stream.push, ids), stream.flush()])
        assert text == tokenizer.decode(ids, skip_special=skip_special)


@settings(deadline=None)
@given(text=st.text(alphabet=st.sampled_from("a é猫🐈‍⬛👨👩👧\u200d🏽🇨🇳\ufffd"), max_size=12))
def test_no_replacement_character_comes_out_while_a_character_is_pending(text: str) -> None:
    ids = [BYTES._inner.token_to_id(token) for token in as_byte_tokens(text)]
    stream = BYTES.stream()
    parts = [stream.push(i) for i in ids]
    assert "".join(parts) == text
    assert stream.flush() == ""
    ends = {len(text[:i].encode()) for i in range(len(text) + 1)}
    assert all((position + 1 in ends) == (part != "") for position, part in enumerate(parts))


def as_byte_tokens(text: str) -> list[str]:
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return [character for token, _ in splitter.pre_tokenize_str(text) for character in token]


def test_a_family_comes_out_as_its_characters_are_complete() -> None:
    stream = BYTES.stream()
    ids = [BYTES._inner.token_to_id(token) for token in as_byte_tokens("👨‍👩")]
    assert [stream.push(i) for i in ids] == ["", "", "", "👨", "", "", "\u200d", "", "", "", "👩"]


def test_flush_gives_up_on_a_character_that_was_cut_off() -> None:
    stream = BYTES.stream()
    cut_off = [BYTES._inner.token_to_id(token) for token in as_byte_tokens("猫")][:2]
    assert [stream.push(i) for i in cut_off] == ["", ""]
    assert stream.flush() == "\ufffd" == BYTES.decode(cut_off)


def test_what_is_cut_at_the_end_of_a_text_is_held_back_until_more_comes() -> None:
    # The library fails on an empty text here, so this is worked out by hand.
    words = with_decoder(decoders.Sequence([decoders.Fuse(), decoders.Strip("s", 1, 2)]), ["s", "a", "sss"])
    assert words.decode([1, 2, 3]) == "as"
    assert words.decode([]) == ""
    stream = words.stream()
    assert [stream.push(i) for i in (1, 2, 3, 2)] == ["", "a", "s", "ssa"]
    assert stream.flush() == ""


def test_special_tokens_are_left_out_unless_asked_for(bpe: Tokenizer) -> None:
    ids = [0, *bpe.encode("cats"), 0]
    assert bpe.decode(ids) == "cats"
    assert bpe.decode(ids, skip_special=False) == "<|endoftext|>cats<|endoftext|>"
    stream = bpe.stream(skip_special=False)
    assert "".join(map(stream.push, ids)) == "<|endoftext|>cats<|endoftext|>"


def test_the_first_of_two_words_loses_its_leading_space_only() -> None:
    words = TOKENIZERS["llama 2"]
    the, space = (WORDS.index(word) + 1 for word in ("▁the", "▁"))
    assert words.decode([the, the]) == "the the"
    assert words.decode([space, the]) == " the"
    stream = words.stream()
    assert [stream.push(i) for i in (space, the, the)] == ["", " the", " the"]


@pytest.mark.parametrize("token_id", [-1, 10**6])
def test_an_id_that_is_not_in_the_vocabulary_is_refused(bpe: Tokenizer, token_id: int) -> None:
    message = f"token id {token_id} is not in the vocabulary of 400; do the tokenizer and the model belong together"
    with pytest.raises(DataError, match=message):
        bpe.decode([5, token_id])
    with pytest.raises(DataError, match=message):
        bpe.stream().push(token_id)


@pytest.mark.parametrize(
    ("decoder", "named"),
    [
        (decoders.CTC(), "'CTC'"),
        (decoders.Sequence([decoders.Fuse(), decoders.Replace("a", "b")]), "'Replace' after Fuse"),
    ],
    ids=["speech", "replacing across tokens"],
)
def test_a_decoder_that_cannot_be_streamed_is_refused(decoder: Any, named: str) -> None:
    spec = json.loads(tokenizers.Tokenizer(models.BPE()).to_str()) | {"decoder": json.loads(decoder.__getstate__())}
    with pytest.raises(WeightsError, match=rf"tokenizer\.json: decoder {named} is not supported; known: ByteLevel"):
        rules_of(spec["decoder"])


@pytest.mark.parametrize("kind", ["bpe", "unigram", "wordpiece", "char", "word"])
def test_every_split_of_a_text_streams_to_the_same_text(trained: Callable[[str], Tokenizer], kind: str) -> None:
    tokenizer = trained(kind)
    ids = tokenizer.encode("三只猫 kept the mill.\n    flour += 1")
    whole = tokenizer.decode(ids)
    for cuts in ([0, len(ids)], list(range(len(ids) + 1))):
        stream = tokenizer.stream()
        parts = [stream.push(i) for start, end in pairwise(cuts) for i in ids[start:end]]
        assert "".join(parts) + stream.flush() == whole
