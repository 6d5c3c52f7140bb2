"""Rows that are each of one document."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wenlu.corpus.packing import PADDING
from wenlu.corpus.passages import Passages
from wenlu.corpus.shard_writer import write_tokens
from wenlu.corpus.shards import TokenData
from wenlu.errors import DataError
from wenlu.tokenizers import TokenizerConfig, train_tokenizer

TEXTS = ["abcdefgh", "a", "", "abcdefghij", "abc"]


@pytest.fixture
def data(tmp_path: Path) -> TokenData:
    tokenizer = train_tokenizer(TokenizerConfig(kind="char", vocab_size="auto", min_frequency=1), TEXTS)
    return write_tokens(TEXTS, tokenizer, tmp_path / "tokens")


def test_every_token_is_in_one_row_of_its_document_but_short_rests(data: TokenData) -> None:
    passages = Passages(data, 4)
    rows = passages.rows(np.arange(len(passages)))
    assert passages.documents.tolist() == [0, 0, 3, 3, 3, 4]
    found: dict[int, list[int]] = {}
    for document, ids, segments in zip(passages.documents.tolist(), rows.ids, rows.segments, strict=True):
        found.setdefault(document, []).extend(ids[segments != PADDING].tolist())
    assert found == {document: data.document(document).tolist() for document in (0, 3, 4)}
    assert (rows.ids[rows.segments == PADDING] == data.eos_id).all()


def test_a_rest_that_is_too_short_is_left_out(data: TokenData) -> None:
    assert Passages(data, 4, least=3).documents.tolist() == [0, 0, 3, 3, 4]
    assert Passages(data, 4, least=1).documents.tolist() == [0, 0, 1, 3, 3, 3, 4]


def test_texts_that_are_all_too_short_are_refused(data: TokenData) -> None:
    with pytest.raises(DataError, match="no document has 20 tokens; give longer texts"):
        Passages(data, 30, least=20)


def test_a_row_that_is_not_there_is_an_error(data: TokenData) -> None:
    with pytest.raises(IndexError, match="rows 0 to 6 are not all in 0 … 5"):
        Passages(data, 4).rows(np.array([0, 6]))
