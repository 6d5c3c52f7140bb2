"""Masks and positions of padded and packed rows, against a direct count."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from wenlu.models.layers.mask import (
    CAUSAL,
    EVERYTHING,
    bidirectional_mask,
    causal_mask,
    count_lengths,
    count_positions,
    document_starts,
    is_right_padded,
)

rows = st.integers(1, 9).flatmap(
    lambda n: st.tuples(
        st.lists(st.booleans(), min_size=n, max_size=n), st.lists(st.integers(0, 2), min_size=n, max_size=n)
    )
)


@given(row=rows, masked=st.booleans(), packed=st.booleans())
def test_bias_allows_what_a_reader_would(row: tuple[list[bool], list[int]], masked: bool, packed: bool) -> None:
    real, numbers = row
    length = len(real)
    mask = causal_mask(
        length,
        attention_mask=torch.tensor([real]).long() if masked else None,
        segments=torch.tensor([numbers]) if packed else None,
        dtype=torch.float32,
    )
    allowed = torch.ones(length, length).tril() if mask.bias is None else mask.bias[0, 0].exp()
    for i in range(length):
        for j in range(length):
            sees = j <= i and (not packed or numbers[i] == numbers[j]) and (not masked or real[j] or i == j)
            if not masked or real[i]:
                assert allowed[i, j] == sees
        assert allowed[i].sum() > 0
    assert mask.is_causal


@given(row=rows, masked=st.booleans(), packed=st.booleans(), window=st.none() | st.integers(0, 9))
def test_an_encoders_bias_allows_what_a_reader_would(
    row: tuple[list[bool], list[int]], masked: bool, packed: bool, window: int | None
) -> None:
    real, numbers = row
    length = len(real)
    mask = bidirectional_mask(
        torch.zeros(1, length, 2),
        attention_mask=torch.tensor([real]).long() if masked else None,
        segments=torch.tensor([numbers]) if packed else None,
        window=window,
    )
    allowed = torch.ones(length, length) if mask.bias is None else mask.bias[0, 0].exp()
    for i in range(length):
        for j in range(length):
            sees = (not packed or numbers[i] == numbers[j]) and (not masked or real[j] or i == j)
            assert allowed[i, j] == (sees and (window is None or abs(i - j) <= window))
        assert allowed[i].sum() > 0
    assert not mask.is_causal


@given(row=rows, window=st.none() | st.integers(0, 9))
def test_without_gradients_stretches_say_what_the_bias_of_packed_texts_says(
    row: tuple[list[bool], list[int]], window: int | None
) -> None:
    segments = torch.tensor([sorted(row[1])])
    x = torch.zeros(1, segments.size(1), 2)
    told = bidirectional_mask(x, attention_mask=None, segments=segments, window=window)
    with torch.no_grad():
        mask = bidirectional_mask(x, attention_mask=None, segments=segments, window=window)
    assert mask.bias is None
    assert mask.stretches is not None
    assert told.bias is not None
    torch.testing.assert_close(mask.stretches.as_bias(segments.size(1), torch.float32), told.bias)


def test_no_tensor_is_made_where_an_encoder_sees_everything() -> None:
    x, full = torch.zeros(2, 3, 4), torch.ones(2, 3).long()
    assert bidirectional_mask(x, attention_mask=None, segments=None) is EVERYTHING
    assert bidirectional_mask(x, attention_mask=full, segments=None, window=2) is EVERYTHING


@given(row=rows)
def test_positions_count_real_tokens_of_the_document(row: tuple[list[bool], list[int]]) -> None:
    real, numbers = row
    found = count_positions(
        torch.zeros(1, len(real)), attention_mask=torch.tensor([real]).long(), segments=torch.tensor([numbers])
    )[0].tolist()
    count = 0
    for i, is_real in enumerate(real):
        if i == 0 or numbers[i] != numbers[i - 1]:
            count = 0
        if is_real:
            assert found[i] == count
            count += 1


def test_no_tensor_is_made_where_causality_alone_says_it() -> None:
    right = torch.tensor([[1, 1, 0], [1, 0, 0]])
    assert causal_mask(3, attention_mask=None, segments=None, dtype=torch.float32) is CAUSAL
    assert causal_mask(3, attention_mask=right, segments=None, dtype=torch.float32) is CAUSAL
    assert count_positions(right, attention_mask=right, segments=None).tolist() == [[0, 1, 2]]


def test_padding_is_on_the_right_where_nothing_real_follows_it() -> None:
    assert is_right_padded(torch.tensor([[1, 1, 0], [0, 0, 0], [1, 1, 1]]))
    assert not is_right_padded(torch.tensor([[1, 1, 1], [0, 1, 1]]))
    assert not is_right_padded(torch.tensor([[1, 0, 1]]))


def test_a_document_starts_where_the_number_changes() -> None:
    assert document_starts(torch.tensor([[4, 4, 2, 4]])).tolist() == [[True, False, True, True]]


@given(row=rows, masked=st.booleans(), packed=st.booleans())
def test_lengths_count_the_real_tokens_of_the_whole_document(
    row: tuple[list[bool], list[int]], masked: bool, packed: bool
) -> None:
    real, numbers = row
    length = len(real)
    counted = count_lengths(
        torch.zeros(1, length, dtype=torch.int64),
        attention_mask=torch.tensor([real]).long() if masked else None,
        segments=torch.tensor([numbers]) if packed else None,
    ).expand(1, length)[0]
    starts = [i for i in range(length) if i == 0 or (packed and numbers[i] != numbers[i - 1])]
    for start, end in zip(starts, [*starts[1:], length], strict=True):
        inside = sum(real[start:end]) if masked else end - start
        assert counted[start:end].tolist() == [inside] * (end - start)


@given(
    numbers=st.lists(st.lists(st.integers(0, 3), min_size=7, max_size=7), min_size=1, max_size=3),
    ordered=st.booleans(),
    is_causal=st.booleans(),
)
def test_stretches_say_what_the_bias_says(numbers: list[list[int]], ordered: bool, is_causal: bool) -> None:
    segments = torch.tensor([sorted(row) if ordered else row for row in numbers])
    if is_causal:
        mask = causal_mask(7, attention_mask=None, segments=segments, dtype=torch.float32)
    else:
        x = torch.zeros(len(numbers), 7, 1)
        mask = bidirectional_mask(x, attention_mask=None, segments=segments)
    assert mask.bias is not None
    assert not ordered or mask.stretches is not None
    if mask.stretches is not None:
        keys = torch.arange(7)
        seen = (keys >= mask.stretches.first[..., None]) & (keys < mask.stretches.end[..., None])
        assert torch.equal(seen, mask.bias[:, 0] == 0)
