"""The growing cache: room, views, rows."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from wenlu.models.layers.kv_cache import KVCache


def cache(rows: int = 1) -> KVCache:
    return KVCache(
        num_layers=2, batch_size=rows, num_kv_heads=1, head_dim=2, dtype=torch.float64, device=torch.device("cpu")
    )


def put(state: KVCache, length: int, value: float, mask: list[list[int]] | None = None) -> torch.Tensor:
    """Read `length` tokens whose keys are all `value`, and return the keys that a query may look at."""
    reading = state.open(length, None if mask is None else torch.tensor(mask))
    new = torch.full((len(state.lengths), 1, length, 2), value, dtype=torch.float64)
    keys = torch.empty(0)
    for memory in reading.memories:
        assert memory is not None
        keys, values = memory.extend(new, -new)
        assert torch.equal(keys, -values)
    state.close(reading)
    return keys[..., 0]


def test_new_keys_follow_the_old_ones() -> None:
    state = cache()
    put(state, 2, 1.0)
    assert put(state, 1, 2.0).tolist() == [[[1, 1, 2]]]
    assert state.lengths.tolist() == [3]


def test_a_shortened_row_goes_on_where_it_was_cut() -> None:
    state = cache(2)
    put(state, 3, 1.0)
    state.truncate([1, 3])
    assert state.lengths.tolist() == [1, 3]
    assert put(state, 1, 2.0)[:, 0].tolist() == [[1, 2, 1, 0], [1, 1, 1, 2]]
    bias = state.open(1, None).mask.bias
    assert bias is not None
    assert bias[:, 0, 0].exp().tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


def test_a_row_writes_over_its_padding() -> None:
    state = cache(2)
    put(state, 3, 1.0, mask=[[1, 1, 1], [1, 0, 0]])
    assert put(state, 1, 2.0)[:, 0].tolist() == [[1, 1, 1, 2], [1, 2, 1, 0]]
    assert state.lengths.tolist() == [4, 2]


def test_padding_beyond_a_rows_length_is_invisible() -> None:
    state = cache(2)
    put(state, 3, 1.0, mask=[[1, 1, 1], [1, 0, 0]])
    bias = state.open(1, None).mask.bias
    assert bias is not None
    assert bias[:, 0, 0].exp().tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]


def test_an_opened_reading_that_is_never_closed_is_forgotten() -> None:
    state = cache()
    put(state, 2, 1.0)
    state.open(5, None)
    assert state.lengths.tolist() == [2]
    assert put(state, 1, 3.0).tolist() == [[[1, 1, 3]]]


def test_room_grows_geometrically() -> None:
    state = cache()
    capacities = set()
    for _ in range(300):
        put(state, 1, 1.0)
        capacities.add(state.capacity)
    assert len(capacities) < 12
    assert state.capacity < 2 * 300


def test_a_single_token_of_an_even_batch_needs_no_mask() -> None:
    state = cache(3)
    put(state, 4, 1.0)
    assert state.open(1, None).mask.bias is None


@given(lengths=st.lists(st.integers(0, 5), min_size=1, max_size=4), rows=st.data())
def test_select_of_a_join_is_a_join_of_selections(lengths: list[int], rows: st.DataObject) -> None:
    states = []
    for index, length in enumerate(lengths):
        state = cache()
        if length:
            put(state, length, float(index + 1))
        states.append(state)
    order = rows.draw(st.lists(st.sampled_from(range(len(lengths))), min_size=1, max_size=5))
    one = KVCache.join(states).select(torch.tensor(order))
    two = KVCache.join([states[index] for index in order])
    assert one.lengths.tolist() == two.lengths.tolist() == [lengths[index] for index in order]
    seen_one, seen_two = put(one, 1, 9.0), put(two, 1, 9.0)
    for place, index in enumerate(order):
        expected = [float(index + 1)] * lengths[index] + [9.0]
        assert seen_one[place, 0, : len(expected)].tolist() == expected
        assert seen_two[place, 0, : len(expected)].tolist() == expected
