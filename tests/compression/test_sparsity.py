"""Zeros: how many, where, and that those chosen by what they are multiplied with cost less."""

from __future__ import annotations

import os
from statistics import median

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compression.conftest import NewBundle
from torch import Tensor

from wenlu.compression.calibration import Calibration, grams
from wenlu.compression.layerwise import maps_of, moved
from wenlu.compression.methods import method_of, read_chain
from wenlu.compression.sparsity import (
    MagnitudeConfig,
    SparsityConfig,
    WandaConfig,
    magnitude,
    wanda,
    zeros_in_all,
    zeros_in_rows,
    zeros_of,
)
from wenlu.errors import WeightsError
from wenlu.models.quantised import quantised_layers
from wenlu.progress import QUIET

CASES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60
SHARES = st.floats(0.01, 0.99)


@given(SHARES, st.integers(1, 9), st.integers(1, 40), st.booleans())
@settings(max_examples=CASES, deadline=None)
def test_the_share_of_zeros_is_exact_to_one_weight(share: float, rows: int, columns: int, is_equal: bool) -> None:
    scores = torch.ones(rows, columns) if is_equal else torch.rand(rows, columns)
    for zeros in (zeros_in_all(scores, share), zeros_in_rows(scores, share)):
        assert abs(int(zeros.sum()) - share * rows * columns) <= 1
    by_row = zeros_in_rows(scores, share).sum(1)
    assert int(by_row.max() - by_row.min()) <= 1


@given(st.integers(1, 7), st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=CASES, deadline=None)
def test_a_pattern_keeps_so_many_of_each_group(kept: int, more: int, groups: int) -> None:
    size = kept + more
    scores = torch.rand(3, groups * size)
    zeros = zeros_of(scores, SparsityConfig(method="x", pattern=f"{kept}:{size}")).view(-1, size)
    assert bool((zeros.sum(1) == more).all())
    flat = scores.view(-1, size)
    assert bool((flat.masked_fill(~zeros, 0).amax(1) <= flat.masked_fill(zeros, 2).amin(1)).all())


def test_wanda_multiplies_sizes_with_the_norms_of_inputs() -> None:
    weight, norms = torch.tensor([[3.0, 1.0], [0.5, 1.0]]), torch.tensor([1.0, 4.0])
    assert zeros_in_rows(weight.abs() * norms, 0.5).tolist() == [[True, False], [True, False]]
    assert zeros_in_rows(weight.abs(), 0.5).tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_wanda_moves_outputs_less_than_magnitude_does(
    name: str, new_bundle: NewBundle, calibration: Calibration
) -> None:
    pruned, plain = new_bundle(name), new_bundle(name)
    before = {each: plain.model.get_submodule(each).weight for each in maps_of(plain)}
    made = wanda(pruned, WandaConfig(), calibration)
    behind = grams(pruned.model, maps_of(pruned), calibration.rows(pruned))
    by_size = []
    for layer in made.layers:
        weight = before[layer.name]
        assert isinstance(weight, Tensor)
        zeros = zeros_in_all(weight.abs(), 0.5)
        by_size.append(moved(weight.detach(), weight.detach().masked_fill(zeros, 0).double(), behind[layer.name]))
    assert median(layer.error for layer in made.layers) <= median(by_size)


@pytest.mark.parametrize(
    "label", ["rtn-int4", "rtn-int4-asym", "gptq-int4", "gptq-int4-asym", "awq-int4", "smoothquant"]
)
def test_zeros_stay_when_what_is_left_is_rounded(label: str, new_bundle: NewBundle, calibration: Calibration) -> None:
    bundle = new_bundle()
    magnitude(bundle, MagnitudeConfig(sparsity=0.6))
    zeros = {name: bundle.model.get_submodule(name).weight == 0 for name in maps_of(bundle)}
    (step,) = read_chain(label)
    method_of(step).apply(bundle, step, calibration, QUIET)
    for name, layer in quantised_layers(bundle.model).items():
        assert bool((layer.dequantised()[zeros[name]] == 0).all())


def test_rows_that_do_not_divide_are_told_of(new_bundle: NewBundle) -> None:
    with pytest.raises(WeightsError, match=r"q_proj: rows of 32 weights do not divide into groups of 5; give a share"):
        magnitude(new_bundle(), MagnitudeConfig(pattern="3:5"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"method": "wanda", "pattern": "4:4"}, "'4:4' is no pattern; write '2:4'"),
        ({"method": "wanda", "pattern": "2:4", "sparsity": 0.4}, "pattern: says the sparsity too"),
        ({"method": "wanda", "sparsity": 1.0}, "sparsity: input should be less than 1"),
        ("wanda-half", "'half' means nothing to wanda"),
    ],
)
def test_settings_without_a_meaning_are_refused(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_chain(value)


def test_labels_say_the_share_or_the_pattern() -> None:
    assert read_chain("wanda-0.6+magnitude-2of4") == (WandaConfig(sparsity=0.6), MagnitudeConfig(pattern="2:4"))
    assert read_chain("magnitude-2of4")[0].label == "magnitude-2of4"
