"""Laws of attribution that hold for any model, on games whose answer is known."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.explanation.subjects import Game, additive

from wenlu.explanation import methods
from wenlu.explanation.methods import METHODS, EffortConfig, occlusion, shapley
from wenlu.explanation.methods.rollout import rollout
from wenlu.explanation.subject import Bools, Floats

amounts = st.lists(st.floats(-8, 8).map(lambda x: round(x, 3)), min_size=1, max_size=6)


def pairs(seed: int, size: int) -> Game:
    """Each pair of letters is worth something together."""
    dice = np.random.default_rng(seed)
    together, alone = dice.normal(size=(size, size)), dice.normal(size=size)

    def worth(kept: Bools) -> Floats:
        there = kept.astype(np.float64)
        found: Floats = np.einsum("ni,ij,nj->n", there, together, there) + there @ alone
        return found

    return Game(worth, size)


def by_all_orders(game: Game) -> Floats:
    orders = list(permutations(range(game.size)))
    found = np.zeros(game.size)
    for order in orders:
        kept = np.zeros((game.size + 1, game.size), np.bool_)
        for place, player in enumerate(order):
            kept[place + 1 :, player] = True
        found[list(order)] += np.diff(game.ask(kept).values)
    return found / len(orders)


@given(amounts)
def test_of_a_sum_every_method_finds_the_terms(terms: list[float]) -> None:
    game = additive(*terms)
    for method in (occlusion, shapley):
        found = method.attribute(game, game.units, EffortConfig()).amounts
        np.testing.assert_allclose(found, terms, atol=1e-8)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_exact_shapley_values_are_the_mean_over_all_orders(size: int) -> None:
    game = pairs(size, size)
    found = shapley.attribute(game, game.units, EffortConfig())
    np.testing.assert_allclose(found.amounts, by_all_orders(game), atol=1e-8)
    assert found.errors is None


@pytest.mark.parametrize("size", [4, 10, 14])
def test_shapley_values_add_up_to_what_all_are_worth(size: int) -> None:
    game = pairs(0, size)
    found = shapley.attribute(game, game.units, EffortConfig())
    ends = game.ask(np.array([[False] * size, [True] * size])).values
    assert abs(found.amounts.sum() - (ends[1] - ends[0])) < 1e-6


def test_sampled_shapley_values_lie_within_their_errors_of_the_exact_ones() -> None:
    game = Game(lambda kept: np.tanh(kept @ np.linspace(-1, 2, 8)), 8)
    exact = shapley.exact(game, game.units)[0]
    means, errors, _ = shapley.sampled(game, game.units, EffortConfig(samples=200))
    assert (np.abs(means - exact) <= 3 * errors + 1e-12).mean() >= 7 / 8
    assert errors.max() < 0.05


def test_a_letter_that_does_nothing_has_nothing_and_equals_have_the_same() -> None:
    game = Game(lambda kept: 2.0 * (kept[:, 0] & kept[:, 1]), 4)
    found = shapley.attribute(game, game.units, EffortConfig()).amounts
    np.testing.assert_allclose(found, [1, 1, 0, 0], atol=1e-9)


def test_rollout_multiplies_layers_in_their_order_with_half_of_each_position_kept() -> None:
    first = torch.tensor([[[1.0, 0, 0], [0.5, 0.5, 0], [0, 0, 1.0]]])
    second = torch.tensor([[[1.0, 0, 0], [0, 1.0, 0], [0, 1.0, 0]]])
    # ½A + ½I: of the third position, half stays and half comes from the second, which has a quarter of the first.
    expected = torch.tensor([[1.0, 0, 0], [0.25, 0.75, 0], [0.125, 0.375, 0.5]])
    torch.testing.assert_close(rollout([first, second]).float(), expected)


def test_rows_of_a_rollout_sum_to_one_and_a_causal_one_looks_back() -> None:
    torch.manual_seed(0)
    layers = [torch.softmax(torch.randn(3, 7, 7) + torch.full((7, 7), -torch.inf).triu(1), dim=-1) for _ in range(4)]
    whole = rollout(layers)
    torch.testing.assert_close(whole.sum(dim=1), torch.ones(7, dtype=torch.float64), atol=1e-6, rtol=0)
    assert not whole.triu(1).any()


def test_every_method_has_its_file_and_its_row() -> None:
    files = {path.stem for path in Path(methods.__file__).parent.glob("*.py")} - {"__init__", "method"}
    assert {method.attribute.__module__.rpartition(".")[2] for method in METHODS} == files
    assert len({method.name for method in METHODS}) == len(files)
