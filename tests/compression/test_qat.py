"""Quantisation-aware training: the gradient through rounding, and answers nearer than rounding alone leaves them."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from tests.compression.conftest import NewBundle
from tests.tasks.tiny import CHINESE, ENGLISH

from wenlu.bundle import Bundle
from wenlu.compression.calibration import Calibration
from wenlu.compression.gptq import GptqConfig, gptq
from wenlu.compression.qat import QatConfig, RoundedLinear, distance, qat
from wenlu.compression.rtn import RtnConfig, round_to_nearest
from wenlu.errors import Diverged
from wenlu.models.quantised import Grid, GridConfig, quantised_layers

HELD_OUT = Calibration((*ENGLISH[30:36], *CHINESE[8:10]), tokens=32)


def far(bundle: Bundle, teacher: Bundle) -> float:
    """Mean distance on texts that nothing was fitted to."""
    rows = HELD_OUT.rows(bundle)
    with torch.no_grad():
        return sum(float(distance(bundle.model, teacher.model, row)) for row in rows) / len(rows)


def test_the_gradient_is_that_of_the_rounded_weights() -> None:
    linear, x = torch.nn.Linear(8, 5), torch.randn(3, 8)
    layer = RoundedLinear(linear, GridConfig(bits=4, group_size=4))
    rounded = Grid.of(linear.weight, layer.config).rounded(linear.weight).requires_grad_()
    expected = F.linear(x, rounded, linear.bias)
    torch.testing.assert_close(layer(x), expected)
    expected.square().sum().backward()
    layer(x).square().sum().backward()
    torch.testing.assert_close(layer.weight.grad, rounded.grad)


def test_a_model_is_at_no_distance_from_itself(new_bundle: NewBundle) -> None:
    for name in ("llama", "bert", "t5"):
        bundle = new_bundle(name)
        for row in HELD_OUT.rows(bundle):
            assert float(distance(bundle.model, copy.deepcopy(bundle.model), row).detach()) == pytest.approx(
                0, abs=1e-6
            )


def test_at_four_bits_it_beats_what_is_rounded_after_training(new_bundle: NewBundle, calibration: Calibration) -> None:
    """On texts that neither has seen; one scale a row, as rounding alone can hardly bear it."""
    teacher = new_bundle(num_hidden_layers=1)
    nearest, clever, learnt = (new_bundle(num_hidden_layers=1) for _ in range(3))
    round_to_nearest(nearest, RtnConfig(bits=4, group_size="row"))
    gptq(clever, GptqConfig(bits=4, group_size="row"), calibration)
    qat(learnt, QatConfig(bits=4, group_size="row", steps=60, rows=4, lr=3e-3), calibration)
    assert len(quantised_layers(learnt.model)) == 7
    assert far(learnt, teacher) < 0.8 * far(nearest, teacher)
    assert far(learnt, teacher) < far(clever, teacher)


def test_only_the_maps_learn(new_bundle: NewBundle, calibration: Calibration) -> None:
    before, bundle = new_bundle(), new_bundle()
    qat(bundle, QatConfig(steps=1, rows=1), calibration)
    mine, theirs = dict(bundle.model.named_parameters()), dict(before.model.named_parameters())
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_rate_that_is_too_large_is_told_of(new_bundle: NewBundle, calibration: Calibration) -> None:
    with pytest.raises(Diverged, match=r"qat-int4: the loss of step \d+ is nan; take a smaller lr than 1e\+30"):
        qat(new_bundle(), QatConfig(steps=4, rows=1, lr=1e30, scale_dtype="float32"), calibration)
