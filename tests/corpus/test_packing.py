"""Rows of tokens: golden windows by hand, and best-fit packing."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.corpus.packing import Piece, Windows, pack_documents
from wenlu.corpus.shard_writer import write_tokens
from wenlu.corpus.shards import TokenData
from wenlu.errors import DataError
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer

END = 0


@pytest.fixture(scope="module")
def letters() -> Tokenizer:
    """a is 3, b is 4, …"""
    return train_tokenizer(TokenizerConfig(kind="char", vocab_size="auto", min_frequency=1), ["aaaabbbccd"])


@pytest.fixture
def data(letters: Tokenizer, tmp_path: Path) -> TokenData:
    # 0 3 4 5 0 | 0 6 0 | 0 0 | 0 3 3 0 : 14 tokens
    return write_tokens(["abc", "d", "", "aa"], letters, tmp_path / "tokens", shard_tokens=4)


def test_golden_windows(data: TokenData) -> None:
    windows = Windows(data, 4)
    assert len(windows) == 3
    assert windows.unused_tokens == 1
    assert [row.ids.tolist() for row in windows] == [[0, 3, 4, 5, 0], [0, 0, 6, 0, 0], [0, 0, 0, 3, 3]]
    assert [row.segments.tolist() for row in windows] == [[0, 0, 0, 0, 0], [0, 1, 1, 1, 2], [0, 0, 1, 1, 1]]


def test_rows_come_in_the_order_asked_for(data: TokenData) -> None:
    windows = Windows(data, 4)
    rows = windows.rows(np.array([2, 0, 2]))
    assert rows.ids.dtype == rows.segments.dtype == np.int64
    assert rows.ids.shape == rows.segments.shape == (3, 5)
    assert np.array_equal(rows.ids, np.stack([windows[i].ids for i in (2, 0, 2)]))
    assert np.array_equal(rows.segments, np.stack([windows[i].segments for i in (2, 0, 2)]))
    assert windows[-1].ids.tolist() == windows[2].ids.tolist()
    assert windows.rows(np.array([], np.int64)).ids.shape == (0, 5)


def test_a_row_outside_is_refused(data: TokenData) -> None:
    with pytest.raises(IndexError, match="rows 1 to 3 are not all in 0 … 2"):
        Windows(data, 4).rows(np.array([1, 3]))
    with pytest.raises(IndexError):
        Windows(data, 4)[3]


def test_text_shorter_than_a_row_is_refused(data: TokenData) -> None:
    assert len(Windows(data, 13)) == 1
    with pytest.raises(
        DataError, match=r"14 tokens do not fill one row of 14 \+ 1; give more text or a shorter context"
    ):
        Windows(data, 14)


@settings(max_examples=30, deadline=None)
@given(
    texts=st.lists(st.text(alphabet="abcd", max_size=9), min_size=1, max_size=12),
    length=st.integers(1, 6),
    shard_tokens=st.integers(1, 20),
)
def test_windows_are_the_documents_one_after_the_other(
    letters: Tokenizer, tmp_path_factory: pytest.TempPathFactory, texts: list[str], length: int, shard_tokens: int
) -> None:
    data = write_tokens(texts, letters, tmp_path_factory.mktemp("law") / "tokens", shard_tokens=shard_tokens)
    stream = [(i, n) for n, text in enumerate(texts) for i in (END, *letters.encode(text), END)]
    if len(stream) <= length:
        with pytest.raises(DataError, match="do not fill one row"):
            Windows(data, length)
        return
    windows = Windows(data, length)
    rows = windows.rows(np.arange(len(windows)))
    for number, (ids, segments) in enumerate(zip(rows.ids.tolist(), rows.segments.tolist(), strict=True)):
        expected = stream[number * length : (number + 1) * length + 1]
        assert ids == [i for i, _ in expected]
        assert segments == [document - expected[0][1] for _, document in expected]
    targets = rows.ids[:, 1:].ravel().tolist()
    assert targets == [i for i, _ in stream[1 : len(stream) - windows.unused_tokens]]


def test_golden_packing() -> None:
    packing = pack_documents([3, 5, 2, 4, 12, 0], 8)
    assert packing.rows == (
        (Piece(4, 0, 8),),
        (Piece(1, 0, 5), Piece(0, 0, 3)),
        (Piece(3, 0, 4), Piece(4, 8, 12)),
        (Piece(2, 0, 2),),
    )
    assert packing.utilisation == 26 / 32


def test_the_fullest_row_that_still_has_room_is_taken() -> None:
    packing = pack_documents([7, 6, 5, 3], 10)
    assert [[piece.document for piece in row] for row in packing.rows] == [[0, 3], [1], [2]]


def test_nothing_to_pack_wastes_nothing() -> None:
    assert pack_documents([], 8).rows == pack_documents([0, 0], 8).rows == ()
    assert pack_documents([], 8).utilisation == 1.0


@settings(deadline=None)
@given(lengths=st.lists(st.integers(0, 40), max_size=60), length=st.integers(1, 16))
def test_packing_keeps_every_token_once_and_cuts_only_what_is_longer_than_a_row(
    lengths: list[int], length: int
) -> None:
    packing = pack_documents(lengths, length)
    seen = sorted((p.document, token) for row in packing.rows for p in row for token in range(p.start, p.stop))
    assert seen == [(document, token) for document, size in enumerate(lengths) for token in range(size)]
    sizes = [sum(piece.stop - piece.start for piece in row) for row in packing.rows]
    assert all(0 < size <= length for size in sizes)
    assert packing.utilisation == pytest.approx(sum(lengths) / (len(sizes) * length) if sizes else 1.0)
    pieces: dict[int, int] = {}
    for row in packing.rows:
        for piece in row:
            pieces[piece.document] = pieces.get(piece.document, 0) + 1
    assert pieces == {document: -(-size // length) for document, size in enumerate(lengths) if size}


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 20), max_size=40))
def test_best_fit_is_what_a_plain_search_finds(lengths: list[int]) -> None:
    room: list[int] = []
    for size in sorted(lengths, reverse=True):
        fitting = [left for left in room if left >= size]
        if fitting:
            room[room.index(min(fitting))] -= size
        else:
            room.append(20 - size)
    assert len(pack_documents(lengths, 20).rows) == len(room)


def test_many_documents_fill_nearly_all_places() -> None:
    lengths = np.random.default_rng(0).integers(1, 3000, 20_000).tolist()
    assert pack_documents(lengths, 2048).utilisation > 0.999
