"""GPTQ: exact where that can be counted out, never behind rounding to the nearest where inputs are like each other."""

from __future__ import annotations

import copy
import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compression.conftest import NewBundle
from torch import Tensor

from wenlu.compression.calibration import Calibration, grams
from wenlu.compression.gptq import GptqConfig, gptq, gptq_codes
from wenlu.compression.layerwise import maps_of, moved
from wenlu.errors import UsageError, WeightsError
from wenlu.models.quantised import Grid, quantised_layers

CASES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60
EXACT = GptqConfig(bits=4, group_size="row", damping=1e-9, scale_dtype="float32")


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.integers(0, 2**16))
@settings(max_examples=CASES, deadline=None)
def test_of_two_inputs_the_second_makes_up_for_the_first_as_well_as_the_grid_allows(seed: int) -> None:
    weight, x = drawn(1, 2, seed=seed).float(), drawn(5, 2, seed=seed + 1)
    hessian = x.T @ x
    grid = Grid.of(weight, EXACT.grid)
    codes = gptq_codes(weight, hessian, grid, EXACT)
    first = int(hessian.diagonal().argmax())
    assert codes[0, first] == grid.codes(weight)[0, first]
    found = []
    for code in range(16):
        tried = codes.clone()
        tried[0, 1 - first] = code
        apart = (weight - grid.values_at(tried, slice(None))).double()
        found.append(float((apart @ hessian * apart).sum()))
    assert found[int(codes[0, 1 - first])] <= min(found) * (1 + 1e-4) + 1e-12


def test_inputs_that_have_nothing_in_common_leave_rounding_to_the_nearest() -> None:
    weight = drawn(6, 40, seed=1).float()
    config = GptqConfig(group_size=16, symmetric=False)
    grid = Grid.of(weight, config.grid)
    energies = torch.diag(torch.rand(40, dtype=torch.float64) + 0.1)
    assert torch.equal(gptq_codes(weight, energies, grid, config), grid.codes(weight))


@pytest.mark.parametrize("act_order", [True, False])
@pytest.mark.parametrize("block_columns", [1, 7, 128])
def test_how_columns_are_blocked_changes_nothing(act_order: bool, block_columns: int) -> None:
    weight, x = drawn(5, 30, seed=2).float(), drawn(60, 30, seed=3) @ drawn(30, 30, seed=4)
    whole = GptqConfig(group_size=10, act_order=act_order)
    blocked = whole.model_copy(update={"block_columns": block_columns})
    grid = Grid.of(weight, whole.grid)
    assert torch.equal(gptq_codes(weight, x.T @ x, grid, whole), gptq_codes(weight, x.T @ x, grid, blocked))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", ["llama", "bert", "t5"])
def test_every_layer_is_nearer_than_by_rounding_on_the_same_grid(
    name: str, bits: int, new_bundle: NewBundle, calibration: Calibration
) -> None:
    bundle = new_bundle(name)
    config = GptqConfig(bits=bits, group_size=16)  # type: ignore[arg-type]
    names, rows = maps_of(bundle), calibration.rows(bundle)
    before = {each: copy.deepcopy(bundle.model.get_submodule(each)) for each in names}
    nearest: dict[str, float] = {}

    made = gptq(bundle, config, calibration)
    behind = grams(bundle.model, names, rows)  # sums behind maps that are quantised already, as gptq had them
    assert [layer.name for layer in made.layers] == list(names)
    assert set(quantised_layers(bundle.model)) == set(names)
    for layer in made.layers:
        weight = before[layer.name].weight
        assert isinstance(weight, Tensor)
        nearest[layer.name] = moved(weight, Grid.of(weight, config.grid).rounded(weight).double(), behind[layer.name])
    assert {layer.name for layer in made.layers if layer.error >= nearest[layer.name]} == set()


def test_an_input_that_is_never_there_keeps_its_nearest_weights() -> None:
    weight, x = drawn(4, 8, seed=5).float(), drawn(30, 8, seed=6)
    x[:, 3] = 0
    grid = Grid.of(weight, EXACT.grid)
    codes = gptq_codes(weight, x.T @ x, grid, EXACT)
    assert torch.equal(codes[:, 3], grid.codes(weight)[:, 3])


def test_inputs_fewer_than_columns_are_damped_until_there_is_a_factor() -> None:
    weight, x = drawn(4, 64, seed=7).float(), drawn(2, 64, seed=8)
    codes = gptq_codes(weight, x.T @ x, Grid.of(weight, EXACT.grid), GptqConfig(group_size="row"))
    assert codes.shape == weight.shape


def test_inputs_that_are_not_finite_are_told_of() -> None:
    weight = drawn(2, 4, seed=9).float()
    with pytest.raises(WeightsError, match="inputs are not finite: the model overflows on these texts"):
        gptq_codes(weight, torch.full((4, 4), torch.inf), Grid.of(weight, EXACT.grid), EXACT)


def test_without_texts_it_asks_for_some(new_bundle: NewBundle) -> None:
    with pytest.raises(UsageError, match=r"gptq-int4 reads texts to see what matters; give some with data\.train=FILE"):
        gptq(new_bundle(), GptqConfig(), None)


def test_a_model_without_linear_maps_is_refused(new_bundle: NewBundle, calibration: Calibration) -> None:
    with pytest.raises(UsageError, match="this LSTM has no plain linear maps to change"):
        gptq(new_bundle("lstm"), GptqConfig(), calibration)
