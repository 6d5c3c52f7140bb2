from __future__ import annotations

import pytest
import torch

from wenlu.config import Duration
from wenlu.training import TrainConfig
from wenlu.training.best import Best


def test_the_weights_of_the_lowest_validation_are_kept() -> None:
    best = Best(patience=2)
    for value, over in [(2.0, False), (1.0, False), (1.5, False), (1.0, True)]:
        best.meet(value, {"w": torch.tensor([value])})
        assert best.is_over is over
    assert best.value == 1.0
    assert best.since == 2
    assert best.weights["w"].item() == 1.0


def test_it_is_restored() -> None:
    best, again = Best(3), Best(3)
    best.meet(1.0, {"w": torch.tensor([7.0])})
    best.meet(2.0, {"w": torch.tensor([8.0])})
    again.restore(best.weights, best.facts())
    assert (again.value, again.since, again.weights["w"].item()) == (1.0, 1, 7.0)


def test_a_validation_that_is_not_allowed_is_the_last_and_its_weights_are_not_kept() -> None:
    best, again = Best(None), Best(None)
    best.begin({"w": torch.tensor([0.0])})
    best.meet(2.0, {"w": torch.tensor([2.0])})
    best.meet(1.0, {"w": torch.tensor([1.0])}, is_allowed=False)
    assert best.is_over
    assert best.weights["w"].item() == 2.0
    again.restore(best.weights, best.facts())
    assert again.is_over


def test_without_an_allowed_validation_the_first_weights_are_kept() -> None:
    best = Best(None)
    best.begin({"w": torch.tensor([0.0])})
    best.meet(1.0, {"w": torch.tensor([1.0])}, is_allowed=False)
    assert best.weights["w"].item() == 0.0


def test_a_copy_is_kept_and_not_the_weight_itself() -> None:
    best, weight = Best(None), torch.tensor([1.0])
    best.meet(1.0, {"w": weight})
    weight.add_(1)
    assert best.weights["w"].item() == 1.0


def test_what_does_not_fit_together_is_told() -> None:
    with pytest.raises(ValueError, match="set keep_best = true"):
        TrainConfig(patience=3)
    with pytest.raises(ValueError, match="validations = 0"):
        TrainConfig(keep_best=True, validations=0)
    with pytest.raises(ValueError, match="write '10 minutes'"):
        TrainConfig(budget=Duration(3, "steps"))
