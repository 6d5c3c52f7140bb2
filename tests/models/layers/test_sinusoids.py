"""Waves against the formula of the paper, column by column."""

from __future__ import annotations

import math

import pytest
import torch

from wenlu.models.layers.sinusoids import interleaved_sinusoids, sinusoids


@pytest.mark.parametrize("size", [1, 2, 7, 12])
def test_each_column_is_the_wave_of_its_period(size: int) -> None:
    positions = torch.tensor([[0, 1, 2, 500], [3, 3, 77, 8]])
    halves = sinusoids(positions, size, torch.float64)
    pairs = interleaved_sinusoids(positions, size, torch.float64)
    assert halves.shape == pairs.shape == (2, 4, size)
    sines = (size + 1) // 2
    for column in range(size):
        wave = math.cos if column % 2 else math.sin
        place = column // 2 + (sines if column % 2 else 0)
        for row in range(2):
            for index in range(4):
                expected = wave(int(positions[row, index]) / 10_000 ** (column // 2 * 2 / size))
                assert pairs[row, index, column] == pytest.approx(expected, abs=1e-7)
                assert halves[row, index, place] == pairs[row, index, column]
