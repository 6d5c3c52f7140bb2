"""Vocabularies of SentencePiece in GGUF cut text as SentencePiece does."""

from __future__ import annotations

import re
from io import BytesIO
from itertools import product
from typing import Any

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.errors import WeightsError
from wenlu.tokenizers import Tokenizer
from wenlu.tokenizers.gguf import metadata_of, tokenizer_of
from wenlu.tokenizers.gguf.sentencepiece import merges_of, scores_of

TEXTS = (
    "",
    " ",
    "The miller kept three cats",
    "  two spaces,   three",
    "磨坊主养了三只猫。",
    "naïve 🙂 ½ \t tab\nline",
    "<s> </s> <unk> <0x41>",
    "user defined <tool> inside",
    "mice mice mice",
)


def trained(texts: list[str], *, prefix: bool) -> sentencepiece.SentencePieceProcessor:
    model = BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for text in texts for line in text.splitlines()]),
        model_writer=model,
        model_type="bpe",
        vocab_size=420,
        byte_fallback=True,
        character_coverage=0.98,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=prefix,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def header_of(model: sentencepiece.SentencePieceProcessor, *, prefix: bool) -> dict[str, Any]:
    """As llama.cpp's converter writes it."""
    numbers = range(model.get_piece_size())

    def type_of(number: int) -> int:
        kinds = ((model.is_unknown, 2), (model.is_control, 3), (model.is_unused, 5), (model.is_byte, 6))
        return next((kind for test, kind in kinds if test(number)), 1)

    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [model.id_to_piece(number) for number in numbers],
        "tokenizer.ggml.scores": [model.get_score(number) for number in numbers],
        "tokenizer.ggml.token_type": [type_of(number) for number in numbers],
        "tokenizer.ggml.add_space_prefix": prefix,
        "tokenizer.ggml.add_bos_token": True,
    }


@pytest.fixture(scope="module", params=[True, False], ids=["prefix", "no prefix"])
def pair(request: pytest.FixtureRequest, texts: list[str]) -> tuple[sentencepiece.SentencePieceProcessor, Tokenizer]:
    model = trained(texts, prefix=request.param)
    return model, tokenizer_of(header_of(model, prefix=request.param), where="m.gguf")


def test_ids_and_texts_are_those_of_sentencepiece(
    pair: tuple[sentencepiece.SentencePieceProcessor, Tokenizer], texts: list[str]
) -> None:
    theirs, ours = pair
    for text in (*TEXTS, *texts):
        assert ours.encode(text) == theirs.encode(text), text
        assert ours.decode(ours.encode(text)) == text


@settings(max_examples=200, derandomize=True)
@given(text=st.text(alphabet=st.sampled_from("the milr\n 猫水é🙂<s>0x41"), max_size=40))
def test_any_text_has_the_ids_that_sentencepiece_gives_it(
    pair: tuple[sentencepiece.SentencePieceProcessor, Tokenizer], text: str
) -> None:
    theirs, ours = pair
    assert ours.encode(text) == theirs.encode(text)


def test_roles_default_to_those_of_sentencepiece(
    pair: tuple[sentencepiece.SentencePieceProcessor, Tokenizer],
) -> None:
    theirs, ours = pair
    assert (ours.unk_id, ours.bos_id, ours.eos_id) == (theirs.unk_id(), theirs.bos_id(), theirs.eos_id())
    assert ours.settings.config == {"add_bos_token": True}
    assert set(ours.encode("<s></s><unk>")).isdisjoint({0, 1, 2})


def test_what_is_written_reads_as_the_same_tokenizer(
    pair: tuple[sentencepiece.SentencePieceProcessor, Tokenizer], texts: list[str]
) -> None:
    _, ours = pair
    metadata = metadata_of(ours, vocab_size=ours.vocab_size + 2)
    assert metadata["tokenizer.ggml.token_type"][-2:] == [5, 5]
    again = tokenizer_of(metadata, where="m.gguf")
    for text in (*TEXTS, *texts):
        assert again.encode(text) == ours.encode(text)
    assert again.special_tokens == ours.special_tokens


def test_merges_come_in_falling_order_of_score() -> None:
    scores = {"a": 0.0, "b": 0.0, "c": 0.0, "bc": -1.0, "ab": -2.0, "abc": -3.0}
    assert merges_of(scores, "m") == [("b", "c"), ("a", "b"), ("a", "bc"), ("ab", "c")]
    assert merges_of(scores_of(list(scores), merges_of(scores, "m"), "m"), "m") == merges_of(scores, "m")


def test_a_way_to_join_that_is_closed_has_no_scores() -> None:
    pieces = ["a", "b", "c", "ab", "bc", "abc"]
    with pytest.raises(WeightsError, match="the merges that make 'abc' are not all ways to join it"):
        scores_of(pieces, [("a", "b"), ("b", "c"), ("ab", "c")], "m")


def test_a_piece_that_would_take_forever_to_cut_is_refused() -> None:
    with pytest.raises(WeightsError, match=re.escape("m: the piece 'aaaaaaaaaaaaaaaaaaaa'… has 300 characters")):
        merges_of({"a" * 300: 0.0, "a": 0.0}, "m")


def test_scores_that_are_no_numbers_are_refused() -> None:
    tokens = ["".join(pair) for pair in product("ab", repeat=2)]
    header = {"model": "llama", "tokens": tokens, "scores": [0.0, float("nan"), 0.0, 0.0]}
    with pytest.raises(WeightsError, match=re.escape("m.gguf: tokenizer.ggml.scores holds NaN")):
        tokenizer_of({f"tokenizer.ggml.{key}": value for key, value in header.items()}, where="m.gguf")
