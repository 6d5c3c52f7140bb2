"""Scales that move: the model stays the same, and rounding hurts less."""

from __future__ import annotations

import pytest
import torch
from tests.compression.conftest import NewBundle, logits

from wenlu.compression.awq import AwqConfig, awq
from wenlu.compression.calibration import Calibration, grams
from wenlu.compression.folding import folds_of
from wenlu.compression.layerwise import maps_of, moved
from wenlu.compression.smoothquant import SmoothQuantConfig, smoothing, smoothquant
from wenlu.errors import UsageError
from wenlu.kernels.quantised import rounded_inputs
from wenlu.models.quantised import Grid, quantised_layers


@pytest.mark.parametrize("name", ["llama", "qwen3", "gpt2", "phi3"])
def test_scales_that_move_change_nothing(name: str, new_bundle: NewBundle) -> None:
    bundle = new_bundle(name)
    before = logits(bundle)
    places = [fold for _, folds in folds_of(bundle.model) for fold in folds]
    for fold in places:
        width = bundle.model.get_submodule(fold.targets[0]).in_features
        assert isinstance(width, int)
        fold.apply(bundle.model, fold.alike(torch.rand(width) * 4 + 0.25))
    after = logits(bundle)
    assert len(places) == 2 * (3 if name == "gpt2" else 4)
    assert float((after - before).abs().max()) < 1e-5 * max(1.0, float(before.abs().max()))


def test_awq_is_no_worse_than_rounding_anywhere_and_better_in_all(
    new_bundle: NewBundle, calibration: Calibration
) -> None:
    """One block, so that both see the same inputs; the sums are over the maps that share their scales."""
    plain, bundle = new_bundle(num_hidden_layers=1), new_bundle(num_hidden_layers=1)
    config = AwqConfig(bits=4, group_size=16)
    seen = grams(plain.model, maps_of(plain), calibration.rows(plain))
    made = {layer.name: layer.error for layer in awq(bundle, config, calibration).layers}
    nearest, whole = {}, {}
    for name in maps_of(plain):
        weight = plain.model.get_submodule(name).weight.detach()  # type: ignore[union-attr, operator]
        nearest[name] = moved(weight, Grid.of(weight, config.grid).rounded(weight).double(), seen[name])
        whole[name] = seen[name].energy(weight)
    for _, folds in folds_of(plain.model):
        for fold in folds:
            if not fold.is_norm and fold.repeats is None:
                ours = sum(made[target] * whole[target] for target in fold.targets)
                assert ours <= sum(nearest[target] * whole[target] for target in fold.targets) * (1 + 1e-4)
    assert sum(made.values()) < sum(nearest.values())


def test_smoothing_by_hand() -> None:
    class Seen:
        largest = torch.tensor([16.0, 1.0])

    class Norm:
        is_norm = True

    scales = smoothing(Norm(), [torch.tensor([[1.0, 0.25], [-4.0, 0.0]])], [Seen()], SmoothQuantConfig())  # type: ignore[arg-type, list-item]
    assert scales is not None
    assert scales.tolist() == [2.0, 2.0]  # √16 / √4, √1 / √0.25


def test_smoothquant_rounds_what_it_reads_too(new_bundle: NewBundle, calibration: Calibration) -> None:
    bundle = new_bundle()
    before = logits(bundle)
    smoothquant(bundle, SmoothQuantConfig(), calibration)
    layers = quantised_layers(bundle.model)
    assert {(layer.config.bits, layer.config.activation_bits) for layer in layers.values()} == {(8, 8)}
    assert 0 < float((logits(bundle) - before).abs().max()) < 0.1 * float(before.abs().max())


def test_inputs_are_rounded_by_half_a_scale_of_their_row_and_learn_as_if_they_were_not() -> None:
    x = torch.randn(5, 33, requires_grad=True)
    rounded = rounded_inputs(x, 8)
    scales = x.detach().abs().amax(dim=-1, keepdim=True) / 127
    assert bool(((rounded - x).abs() <= scales / 2 * (1 + 1e-4)).all())
    rounded.square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * rounded.detach())


def test_families_whose_norms_feed_other_things_are_refused(new_bundle: NewBundle, calibration: Calibration) -> None:
    with pytest.raises(UsageError, match="and those of Bert feed other things too; take gptq"):
        awq(new_bundle("bert"), AwqConfig(), calibration)
