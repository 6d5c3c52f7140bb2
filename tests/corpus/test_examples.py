from __future__ import annotations

import numpy as np
import pytest

from wenlu.corpus.examples import Examples
from wenlu.corpus.ragged import Ragged

ROWS = 16


def _examples(count: int) -> Examples:
    sizes = np.random.default_rng(0).geometric(1 / 20, count).clip(3, 128)
    return Examples(Ragged.of([[1] * size for size in sizes.tolist()]), length=128, pad_id=0)


@pytest.mark.parametrize("count", [5, 16, 2_003])
def test_every_pass_has_every_row_once(count: int) -> None:
    examples = _examples(count)
    for epoch in range(4):
        rows = examples.in_order(np.arange(count), seed=3, epoch=epoch, rows_per_step=ROWS)
        assert sorted(rows.tolist()) == [*range(count)]


def test_steps_have_rows_of_about_one_length_in_each_pass_also_where_a_pass_ends_within_a_step() -> None:
    count = 2_003
    examples = _examples(count)
    passes = [examples.in_order(np.arange(count), seed=3, epoch=epoch, rows_per_step=ROWS) for epoch in range(4)]
    widths = examples.widths(np.concatenate(passes))
    steps = widths[: len(widths) // ROWS * ROWS].reshape(-1, ROWS)
    padding = steps.max(axis=1) - steps.mean(axis=1)
    quarter = len(padding) // 4
    for epoch in range(4):
        assert padding[epoch * quarter : (epoch + 1) * quarter].mean() < 2
