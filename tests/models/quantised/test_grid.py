"""Grids of whole numbers: how far rounding may go, and what the bytes mean."""

from __future__ import annotations

import os

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from wenlu.errors import WeightsError
from wenlu.kernels.quantised import Bits, Codes, pack, unpack, values
from wenlu.models.quantised import Grid, GridConfig

CASES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60

GRIDS = st.builds(
    GridConfig,
    bits=st.sampled_from([4, 8]),
    group_size=st.one_of(st.just("row"), st.integers(1, 40)),
    symmetric=st.booleans(),
    scale_dtype=st.sampled_from(["float16", "float32"]),
)


def drawn(rows: int, columns: int, seed: int, size: float = 1.0) -> Tensor:
    """Weights of a bell curve, some of whose rows lie on one side of zero."""
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * size
    weight[0] = weight[0].abs()
    return weight


@given(GRIDS, st.integers(1, 7), st.integers(1, 70), st.integers(0, 2**16), st.sampled_from([1e-4, 0.02, 1.0, 50.0]))
@settings(max_examples=CASES, deadline=None)
def test_no_weight_moves_further_than_half_a_scale(
    config: GridConfig, rows: int, columns: int, seed: int, size: float
) -> None:
    weight = drawn(rows, columns, seed, size)
    grid = Grid.of(weight, config)
    apart = (grid.rounded(weight) - weight).abs()
    assert bool((apart <= grid.scale_of(slice(None)) / 2 * (1 + 1e-5)).all())


@given(GRIDS, st.integers(1, 7), st.integers(1, 70), st.integers(0, 2**16))
@settings(max_examples=CASES, deadline=None)
def test_packed_codes_stand_for_the_rounded_weights(config: GridConfig, rows: int, columns: int, seed: int) -> None:
    weight = drawn(rows, columns, seed)
    grid = Grid.of(weight, config)
    codes = grid.codes(weight)
    packed = pack(codes, config.bits)
    assert torch.equal(unpack(packed, config.bits, columns), codes)
    stored = Codes(packed, grid.scales, grid.zeros, config.bits, columns, config.group_of(columns))
    assert torch.equal(values(stored, torch.float32), grid.rounded(weight))


@given(st.sampled_from([4, 8]), st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**16))
@settings(max_examples=CASES, deadline=None)
def test_packing_keeps_every_bit(bits: Bits, rows: int, columns: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(2**bits, (rows, columns), dtype=torch.uint8, generator=generator)
    packed = pack(codes, bits)
    assert torch.equal(unpack(packed, bits, columns), codes)
    assert packed.nbytes == rows * (columns if bits == 8 else (columns + 1) // 2)


def test_the_earlier_of_two_codes_stands_in_the_lower_half() -> None:
    assert pack(torch.tensor([[3, 10, 5]]), 4).tolist() == [[3 + 16 * 10, 5]]


def test_a_symmetric_grid_by_hand() -> None:
    weight = torch.tensor([[-3.5, 0.2, 1.0, 0.3]])
    grid = Grid.of(weight, GridConfig(bits=4, group_size=2))
    assert grid.scales.tolist() == [[0.5, pytest.approx(1 / 7, rel=1e-3)]]
    assert grid.codes(weight).tolist() == [[8 - 7, 8 + 0, 8 + 7, 8 + 2]]


def test_a_grid_with_zeros_by_hand() -> None:
    weight = torch.tensor([[-1.0, 0.5, 2.0]])
    grid = Grid.of(weight, GridConfig(bits=4, group_size="row", symmetric=False, scale_dtype="float32"))
    assert grid.scales.item() == pytest.approx(3 / 15)
    assert grid.zeros is not None
    assert grid.zeros.tolist() == [[5]]
    assert grid.codes(weight).tolist() == [[0, 7, 15]]  # 0.5 / 0.2 = 2.5 is rounded to the even 2


def test_eight_bits_in_groups_of_32_are_gguf_q8_0() -> None:
    weight = drawn(3, 96, seed=1)
    grid = Grid.of(weight, GridConfig(bits=8, group_size=32))
    signed = (grid.codes(weight).int() - 128).to(torch.int8).view(3, 3, 32).numpy()
    blocks = np.concatenate([grid.scales.numpy()[..., None].view(np.uint8), signed.view(np.uint8)], axis=-1)
    theirs = gguf.dequantize(blocks.reshape(3, -1), gguf.GGMLQuantizationType.Q8_0)
    assert np.array_equal(theirs, grid.rounded(weight).numpy())


def test_four_bits_in_groups_of_32_are_gguf_q4_0() -> None:
    weight = drawn(3, 64, seed=2)
    grid = Grid.of(weight, GridConfig(bits=4, group_size=32))
    codes = grid.codes(weight).view(3, 2, 2, 16).numpy()  # theirs: the first half of a block in the lower halves
    blocks = np.concatenate([grid.scales.numpy()[..., None].view(np.uint8), codes[:, :, 0] | codes[:, :, 1] << 4], -1)
    theirs = gguf.dequantize(blocks.reshape(3, -1), gguf.GGMLQuantizationType.Q4_0)
    assert np.array_equal(theirs, grid.rounded(weight).numpy())


def test_a_group_of_zeros_stays_zero() -> None:
    weight = torch.zeros(2, 8)
    for symmetric in (True, False):
        assert torch.equal(Grid.of(weight, GridConfig(symmetric=symmetric)).rounded(weight), weight)


def test_numbers_without_a_scale_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"no float16 scale of 4 bits; look for numbers that are not finite"):
        Grid.of(torch.tensor([[1e7, 0.0]]), GridConfig())
    with pytest.raises(WeightsError, match="no float32 scale"):
        Grid.of(torch.tensor([[float("nan"), 0.0]]), GridConfig(scale_dtype="float32"))
