"""Low rank: the best of its rank for the inputs, and the same after its folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.compression.conftest import NewBundle, logits

from wenlu.compression.calibration import Calibration, Gram
from wenlu.compression.layerwise import maps_of, moved
from wenlu.compression.methods import read_chain
from wenlu.compression.rtn import RtnConfig, round_to_nearest
from wenlu.compression.svd import SvdConfig, decomposed, svd
from wenlu.errors import WeightsError
from wenlu.models import family_of
from wenlu.models.low_rank import LowRankLinear, low_rank_layers, multiplied_out
from wenlu.models.quantised import count_weights, quantised_layers
from wenlu.models.weights import load_model, save_model


def test_what_a_rank_loses_is_the_energy_of_the_values_behind_it_and_nothing_of_its_rank_loses_less() -> None:
    weight, x = torch.randn(6, 9).double(), torch.randn(80, 9).double() @ torch.randn(9, 9).double()
    seen = Gram.empty(9)
    seen.add(x)
    u, values, v = decomposed(weight, seen)
    torch.testing.assert_close((u * values) @ v, weight)
    plain_u, plain_values, plain_v = torch.linalg.svd(weight, full_matrices=False)
    for rank in range(1, 6):
        lost = moved(weight, (u[:, :rank] * values[:rank]) @ v[:rank], seen)
        assert lost == pytest.approx(float(values[rank:].square().sum() / values.square().sum()), rel=1e-4, abs=1e-9)
        assert lost <= moved(weight, (plain_u[:, :rank] * plain_values[:rank]) @ plain_v[:rank], seen)


def test_half_the_weights_of_each_map_are_left(new_bundle: NewBundle, calibration: Calibration) -> None:
    bundle = new_bundle()
    before = count_weights(bundle.model)
    maps = {name: bundle.model.get_submodule(name) for name in maps_of(bundle)}
    svd(bundle, SvdConfig(), calibration)
    layers = low_rank_layers(bundle.model)
    assert layers.keys() == maps.keys()
    for layer in layers.values():
        size = layer.in_features * layer.out_features
        assert layer.rank == size // 2 // (layer.in_features + layer.out_features)
    assert count_weights(bundle.model) < before


def test_all_the_energy_needs_the_whole_map(new_bundle: NewBundle, calibration: Calibration) -> None:
    bundle = new_bundle()
    before = logits(bundle)
    svd(bundle, SvdConfig(energy=1 - 1e-12), calibration)
    assert not low_rank_layers(bundle.model)
    assert torch.equal(logits(bundle), before)


def test_a_map_of_low_rank_is_found_out(new_bundle: NewBundle, calibration: Calibration) -> None:
    bundle = new_bundle(num_hidden_layers=1)
    down = bundle.model.layers[0].mlp.down_proj  # type: ignore[union-attr, index]
    down.weight.data = torch.randn(32, 3) @ torch.randn(3, 48) / 4
    before = logits(bundle)
    svd(bundle, SvdConfig(energy=1 - 1e-6), calibration)
    layer = low_rank_layers(bundle.model)["layers.0.mlp.down_proj"]
    assert layer.rank == 3
    assert float((logits(bundle) - before).abs().max()) < 0.02 * float(before.abs().max())


@pytest.mark.parametrize("name", ["llama", "gpt2", "bert", "phi3"])
@pytest.mark.parametrize("is_rounded", [False, True])
def test_a_folder_keeps_both_factors_quantised_or_not(
    name: str, is_rounded: bool, new_bundle: NewBundle, calibration: Calibration, tmp_path: Path
) -> None:
    bundle = new_bundle(name)
    svd(bundle, SvdConfig(), calibration)
    if is_rounded:
        round_to_nearest(bundle, RtnConfig(bits=8))
        assert len(quantised_layers(bundle.model)) == 2 * len(low_rank_layers(bundle.model))
    save_model(tmp_path, bundle.model, family_of(bundle.model))
    _, again = load_model(tmp_path)
    mine, theirs = bundle.model.state_dict(), again.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert low_rank_layers(again).keys() == low_rank_layers(bundle.model).keys()


def test_the_two_maps_are_one_product() -> None:
    layer = LowRankLinear.of(torch.nn.Linear(5, 4), torch.randn(4, 2), torch.randn(2, 5))
    x = torch.randn(3, 5)
    torch.testing.assert_close(layer(x), x @ layer.product.float().T + layer.bias)


def test_multiplied_out_a_model_answers_alike(new_bundle: NewBundle, calibration: Calibration) -> None:
    bundle = new_bundle()
    svd(bundle, SvdConfig(), calibration)
    plain = multiplied_out(bundle.model)
    assert not low_rank_layers(plain)
    torch.testing.assert_close(logits(replace(bundle, model=plain)), logits(bundle), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rank", [0, 33, "2", True])
def test_a_rank_that_cannot_be_is_refused(
    rank: object, new_bundle: NewBundle, calibration: Calibration, tmp_path: Path
) -> None:
    bundle = new_bundle()
    svd(bundle, SvdConfig(), calibration)
    save_model(tmp_path, bundle.model, family_of(bundle.model))
    path = tmp_path / "config.json"
    content = json.loads(path.read_text())
    content["low_rank_config"]["ranks"]["layers.0.self_attn.q_proj"] = rank
    path.write_text(json.dumps(content))
    with pytest.raises(
        WeightsError, match=r"low_rank_config: the rank of layers\.0\.self_attn\.q_proj is from 1 to 32"
    ):
        load_model(tmp_path)


def test_share_and_energy_exclude_each_other() -> None:
    assert read_chain("svd-e0.9") == (SvdConfig(energy=0.9),)
    with pytest.raises(ValueError, match="energy: decides the rank, and so does share"):
        read_chain({"method": "svd", "energy": 0.9, "share": 0.5})
