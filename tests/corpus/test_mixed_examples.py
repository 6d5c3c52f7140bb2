"""Examples of several tasks as one source: a step is of one member, and has the rows that it would have alone."""

from __future__ import annotations

import numpy as np
import pytest

from wenlu.corpus.examples import Examples
from wenlu.corpus.mixed_examples import MixedExamples
from wenlu.corpus.packing import PADDING
from wenlu.corpus.ragged import Ragged
from wenlu.training.batches import Batches

PER_STEP = 4


def examples(count: int, first: int) -> Examples:
    """Row i has i % 5 + 1 tokens, each of them `first` + i."""
    return Examples(Ragged.of([[first + i] * (i % 5 + 1) for i in range(count)]), length=8, pad_id=0)


@pytest.fixture
def parts() -> dict[str, Examples]:
    return {"a": examples(23, 100), "b": examples(7, 200)}


@pytest.fixture
def mixed(parts: dict[str, Examples]) -> MixedExamples:
    return MixedExamples(parts, np.array([0.6, 0.4]))


def test_the_first_rows_are_some_of_each_while_they_last(mixed: MixedExamples) -> None:
    row = mixed.read(np.arange(4))
    assert row.ids[:, 0].tolist() == [100, 200, 101, 201]
    assert mixed.read(np.array([len(mixed) - 1])).ids[0, 0] == 122
    assert len(mixed) == 30
    assert (row.segments == PADDING).sum() == (row.ids == 0).sum() == 2


def test_a_step_has_the_rows_that_its_member_would_have_alone(mixed: MixedExamples, parts: dict[str, Examples]) -> None:
    together = Batches(mixed, PER_STEP, seed=5)
    alone = {name: Batches(part, PER_STEP, seed=5) for name, part in parts.items()}
    turns = dict.fromkeys(parts, 0)
    for step in range(40):  # several epochs of the whole and of both
        rows = together.rows(step)
        (number,) = np.unique(mixed.members[rows])
        name = [*parts][number]
        assert mixed.places[rows].tolist() == alone[name].rows(turns[name]).tolist()
        turns[name] += 1
    assert mixed.shares(seed=5, steps=40) == turns


def test_processes_share_the_rows_of_a_step(mixed: MixedExamples) -> None:
    whole = Batches(mixed, PER_STEP, seed=5)
    halves = [Batches(mixed, PER_STEP, seed=5, share=(part, 2)) for part in (0, 1)]
    for step in range(10):
        found = [draw.places for half in halves for draw in half.micro(step, 1)]
        assert np.concatenate(found).tolist() == whole.rows(step).tolist()
