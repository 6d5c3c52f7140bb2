"""What every optimizer owes: a row, settings of its own, a state that is kept by name, and decay of matrices alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.contracts.conftest import SETTINGS, VOCAB
from torch import nn

import wenlu.training.optimizers
from wenlu.config import check, json_schema
from wenlu.config.dump import to_toml
from wenlu.config.load import load
from wenlu.errors import ConfigError, UsageError
from wenlu.lifecycle.recipe import Recipe
from wenlu.models import FAMILIES, Family
from wenlu.models.layers.patches import PatchEmbedding
from wenlu.models.layers.relative_bias import RelativeBias
from wenlu.training.optimizers import OPTIMIZERS, AdamWConfig, MuonConfig, Optimizer, OptimizerConfig, read_optimizer
from wenlu.training.optimizers.groups import depths_from_top, is_hidden_matrix

NAMES: list[str] = [row.model_fields["name"].default for row in OPTIMIZERS]
DECAYING = [row for row in OPTIMIZERS if "weight_decay" in row.model_fields]
SHAPES = {
    "embed_tokens.weight": (5, 4),
    "layers.0.q_proj.weight": (4, 4),
    "layers.0.q_proj.bias": (4,),
    "norm.weight": (4,),
    "lm_head.weight": (5, 4),
}
VECTORS_AND_EMBEDDINGS = {"embed_tokens.weight", "layers.0.q_proj.bias", "norm.weight"}
each_optimizer = pytest.mark.parametrize("row", OPTIMIZERS, ids=NAMES)


def weights() -> dict[str, nn.Parameter]:
    torch.manual_seed(1)
    return {name: nn.Parameter(torch.randn(shape, dtype=torch.float64)) for name, shape in SHAPES.items()}


def step(optimizer: Optimizer, seed: int, factor: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for weight in optimizer.weights.values():
        weight.grad = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    optimizer.step(factor)


def copies(optimizer: Optimizer) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in optimizer.weights.items()}


def settings(**optimizer: Any) -> dict[str, Any]:
    return {"name": "a", "data": {"train": "stdlib"}, "optimizer": optimizer, "schedule": {"name": "constant"}}


def test_each_file_of_the_folder_has_a_row() -> None:
    files = {path.stem for path in Path(wenlu.training.optimizers.__file__).parent.glob("*.py")}
    assert files - {"__init__", "config", "groups", "optimizer"} == {name.replace("-", "_") for name in NAMES}
    assert len(set(NAMES)) == len(NAMES)


@each_optimizer
def test_a_row_names_its_source_and_is_in_the_schema(row: type[OptimizerConfig]) -> None:
    assert row.__doc__ is not None
    assert any(f"{year}" in row.__doc__ for year in range(1951, 2027))
    schema = json_schema(Recipe)["properties"]["optimizer"]["anyOf"]
    assert row.__name__ in [entry["title"] for entry in schema]


@each_optimizer
def test_settings_come_back_from_the_file_that_they_are_written_to(row: type[OptimizerConfig], tmp_path: Path) -> None:
    recipe = check(Recipe, settings(name=row.model_fields["name"].default, lr=0.125), where="test")
    path = tmp_path / "config.toml"
    path.write_text(to_toml(recipe), encoding="utf-8")
    assert load(Recipe, path).optimizer == recipe.optimizer == row(name=recipe.optimizer.name, lr=0.125)


@each_optimizer
def test_a_step_against_the_gradient_goes_downhill(row: type[OptimizerConfig]) -> None:
    """On a bowl, with any optimizer at its own rate."""
    weight = nn.Parameter(torch.ones(4, 4, dtype=torch.float64))
    optimizer = Optimizer(row(name=row.model_fields["name"].default, lr=0.01), {"layers.0.q_proj.weight": weight})
    for _ in range(30):
        weight.grad = 2 * weight.detach()
        optimizer.step(1.0)
    assert weight.square().sum() < 15


@each_optimizer
def test_every_weight_is_owned_and_moves(row: type[OptimizerConfig]) -> None:
    optimizer = Optimizer(read_optimizer({"name": row.model_fields["name"].default}), weights())
    before = copies(optimizer)
    step(optimizer, 0)
    assert all(not torch.equal(weight, before[name]) for name, weight in optimizer.weights.items())


@each_optimizer
def test_a_factor_of_nothing_moves_nothing(row: type[OptimizerConfig]) -> None:
    optimizer = Optimizer(read_optimizer({"name": row.model_fields["name"].default}), weights())
    before = copies(optimizer)
    step(optimizer, 0, factor=0.0)
    assert all(torch.equal(weight, before[name]) for name, weight in optimizer.weights.items())


@each_optimizer
def test_weights_without_a_gradient_stay(row: type[OptimizerConfig]) -> None:
    optimizer = Optimizer(read_optimizer({"name": row.model_fields["name"].default}), weights())
    before = copies(optimizer)
    optimizer.step(1.0)
    assert all(torch.equal(weight, before[name]) for name, weight in optimizer.weights.items())
    assert optimizer.tensors() == {}


@each_optimizer
def test_a_restored_optimizer_goes_on_bit_for_bit(row: type[OptimizerConfig]) -> None:
    config = read_optimizer({"name": row.model_fields["name"].default})
    first = Optimizer(config, weights())
    for seed in range(3):
        step(first, seed)
    second = Optimizer(config, {name: nn.Parameter(weight) for name, weight in copies(first).items()})
    second.restore(first.tensors())
    for seed in range(3, 6):
        step(first, seed)
        step(second, seed)
    assert all(torch.equal(weight, second.weights[name]) for name, weight in first.weights.items())
    assert first.tensors().keys() == second.tensors().keys()


@pytest.mark.parametrize("row", DECAYING, ids=lambda row: row.model_fields["name"].default)
def test_decay_shrinks_matrices_by_rate_times_decay_and_spares_vectors_and_embeddings(row: Any) -> None:
    """Two optimizers see the same gradients: their first steps differ by lr · decay · weight, and by nothing else."""
    name = row.model_fields["name"].default
    decay = {"weight_decay": 0.5, **({"muon_weight_decay": 0.5, "muon_lr": 0.01} if name == "muon" else {})}
    still = {key: 0.0 if key.endswith("decay") else value for key, value in decay.items()}
    decayed, plain = (Optimizer(row(name=name, lr=0.01, **values), weights()) for values in (decay, still))
    before = copies(plain)
    step(decayed, 0)
    step(plain, 0)
    rate = 0.01 * (0.01**0.5 if name == "schedule-free" else 1.0)  # its first rate is scaled by √(1 - beta₂)
    for key, weight in plain.weights.items():
        lost = 0.0 if key in VECTORS_AND_EMBEDDINGS else rate * 0.5 * before[key]
        torch.testing.assert_close(weight - decayed.weights[key], torch.zeros_like(weight) + lost)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_muon_takes_the_matrices_of_layers_and_leaves_tables_and_heads(family: Family) -> None:
    """Told apart by name; here by the module that a weight belongs to."""
    model = family.outline(family.config(**{"vocab_size": VOCAB, **SETTINGS[family.name]}))
    layers = (nn.Linear, nn.RNNBase, nn.RNNCellBase)
    heads = {model.get_submodule("lm_head"), getattr(model.get_submodule("lm_head"), "decoder", None)}
    expected = {
        id(weight)
        for module in model.modules()
        if isinstance(module, layers) and module not in heads
        for weight in module.parameters(recurse=False)
        if weight.ndim == 2
    } - {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    assert {id(weight) for name, weight in model.named_parameters() if is_hidden_matrix(name, weight)} == expected


@pytest.mark.parametrize("head", ["sequence-classification", "pretraining"])
def test_muon_leaves_the_heads_of_a_classifier(head: str, outline: Callable[[str], nn.Module]) -> None:
    names = [name for name, weight in outline(head).named_parameters() if is_hidden_matrix(name, weight)]
    assert not [name for name in names if "classifier" in name or "sentence_head" in name or "decoder" in name]
    assert "layers.0.self_attn.q_proj.weight" in names


@pytest.fixture
def outline() -> Callable[[str], nn.Module]:
    bert = next(family for family in FAMILIES if family.name == "bert")
    return lambda head: bert.outline(bert.config(vocab_size=VOCAB, head=head, **SETTINGS["bert"]))


RECURRENT = ("rnn", "lstm", "gru", "lstm_encoder_decoder")
TRANSFORMERS = [family for family in FAMILIES if family.name not in RECURRENT]


@pytest.mark.parametrize("family", TRANSFORMERS, ids=lambda family: family.name)
def test_layer_decay_knows_each_weight_of_every_transformer(family: Family) -> None:
    """Against the modules: which stack a weight is in, and which weights are tables."""
    model = family.outline(family.config(**{"vocab_size": VOCAB, **SETTINGS[family.name]}))
    found = depths_from_top(dict(model.named_parameters()))
    stacks = [module for name, module in model.named_modules() if name.rpartition(".")[2] == "layers"]
    names = {id(weight): name for name, weight in model.named_parameters()}
    expected = dict.fromkeys(found, 0)
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding | RelativeBias | PatchEmbedding)]
    tables += [module for name, module in model.named_modules() if name.endswith("embed_norm")]
    for table in tables:
        expected.update({names[id(weight)]: 1 + max(map(len, stacks)) for weight in table.parameters()})  # type: ignore[arg-type]
    for stack in stacks:
        for depth, layer in enumerate(reversed([*stack.children()]), start=1):
            expected.update({names[id(weight)]: depth for weight in layer.parameters()})
    assert found == expected


@each_optimizer
def test_layer_decay_multiplies_the_rate_once_for_each_layer_above(row: type[OptimizerConfig]) -> None:
    name = row.model_fields["name"].default
    named = {"embed_tokens.weight": 3, "layers.0.up.weight": 2, "layers.1.up.weight": 1, "norm.weight": 0}
    shared = {key: nn.Parameter(torch.ones(3, 3)) for key in [*named, "lm_head.weight"]}
    optimizer = Optimizer(read_optimizer({"name": name, "lr": 0.5, "layer_decay": 0.25}), shared)
    rates = {id(w): group["lr"] for part in optimizer.parts for group in part.param_groups for w in group["params"]}
    for key, depth in {**named, "lm_head.weight": 0}.items():
        peak = 0.02 if name == "muon" and is_hidden_matrix(key, shared[key]) else 0.5
        assert rates[id(shared[key])] == peak * 0.25**depth


def test_a_layer_decay_of_one_changes_nothing() -> None:
    plain, decayed = (Optimizer(AdamWConfig(layer_decay=decay), weights()) for decay in (None, 1.0))
    step(plain, 0)
    step(decayed, 0)
    assert all(torch.equal(weight, decayed.weights[name]) for name, weight in plain.weights.items())


def test_the_generator_and_the_discriminator_count_their_own_layers() -> None:
    names = [
        "discriminator.embed_tokens.weight",
        *(f"discriminator.layers.{n}.mlp.up_proj.weight" for n in range(3)),
        "generator.layers.0.mlp.up_proj.weight",
        "generator.lm_head.decoder.bias",
    ]
    assert [*depths_from_top(names).values()] == [4, 3, 2, 1, 1, 0]


def test_layer_decay_is_refused_for_recurrent_models() -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.layer_decay: is for Transformers, and gru is recurrent"):
        check(Recipe, {**settings(layer_decay=0.8), "model": {"family": "gru"}}, where="test")
    with pytest.raises(UsageError, match=r"has no layers\.N to tell apart; choose a Transformer family"):
        Optimizer(AdamWConfig(layer_decay=0.8), {"layers.weight_ih_l0": nn.Parameter(torch.ones(2, 2))})


def test_a_section_without_a_name_is_adamw() -> None:
    assert check(Recipe, settings(lr=0.5), where="test").optimizer == read_optimizer({"name": "adamw", "lr": 0.5})


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "adamw", "muon_lr": 1.0}, "optimizer: muon_lr: adamw does not use it (muon: yes); remove it"),
        ({"muon_iterations": 3}, "replace the whole section: 'optimizer={name=\"adamw\"}'"),
        (
            {"name": "sgd", "betas": [0.9, 0.9]},
            "betas: sgd does not use it (adam, adamw, lion, muon, schedule-free: yes)",
        ),
        ({"name": "lion", "weight_deacy": 0.1}, "optimizer: weight_deacy: unknown key; did you mean weight_decay?"),
        ({"name": "moun"}, "optimizer: name: no optimizer 'moun'; did you mean muon?"),
        ({"name": "adam", "lr": -1}, "optimizer: lr: input should be greater than 0, not -1"),
        ({"name": "adam", "betas": [0.9, 1.0]}, "optimizer: betas.1: input should be less than 1, not 1.0"),
        ({"layer_decay": 1.5}, "optimizer: layer_decay: input should be less than or equal to 1, not 1.5"),
        ({"name": "sgd", "momentum": 0.0, "nesterov": True}, "nesterov=true looks ahead along the momentum"),
    ],
)
def test_bad_settings_say_what_to_change(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        check(Recipe, settings(**section), where="test")
    assert message in str(error.value)


def test_schedule_free_needs_a_constant_schedule() -> None:
    falling = {**settings(name="schedule-free"), "schedule": {"name": "cosine"}}
    with pytest.raises(
        ConfigError, match=r"schedule\.name: 'cosine' lets the rate fall.*set schedule\.name=\"constant\""
    ):
        check(Recipe, falling, where="test")


def test_a_muon_update_is_nearly_orthogonal() -> None:
    optimizer = Optimizer(MuonConfig(muon_lr=1.0), weights())
    name = "layers.0.q_proj.weight"
    before = copies(optimizer)[name]
    step(optimizer, 0)
    values = torch.linalg.svdvals(before - optimizer.weights[name].detach())
    assert 0.5 < values.min() < values.max() < 1.3
