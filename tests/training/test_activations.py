"""Activation checkpointing: the same gradients from fewer bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.contracts.conftest import SETTINGS, VOCAB
from torch import Tensor, nn

from wenlu.config import check
from wenlu.errors import ConfigError, UsageError
from wenlu.lifecycle.recipe import Recipe
from wenlu.models import FAMILIES, Ability, Family, LanguageModel
from wenlu.rundir import Run
from wenlu.tasks import CausalLM
from wenlu.training import AdamWConfig, ScheduleConfig, TrainConfig, TrainData, train
from wenlu.training.activations import layers_recomputed

RECURRENT = ("rnn", "lstm", "gru", "lstm_encoder_decoder")
TRANSFORMERS = [family for family in FAMILIES if family.name not in RECURRENT]
NewModel = Callable[..., LanguageModel]


def build(family: Family, **settings: Any) -> LanguageModel:
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCAB, **SETTINGS[family.name], **settings}
    return family.build(family.config(**sizes), dtype=torch.float64).train()


def backward(model: LanguageModel, *, on: bool) -> tuple[dict[str, Tensor], int]:
    """The gradients of one step, and the bytes that the forward pass kept for them, weights left out."""
    torch.manual_seed(1)
    ids = torch.randint(0, VOCAB, (2, 17))
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    decoder = {"decoder_input_ids": ids[:, :9]} if Ability.ENCODER_DECODER in family_abilities(model) else {}
    model.zero_grad()
    with layers_recomputed(model, on=on):
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = model(ids, **decoder).square().sum()
        loss.backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}, sum(
        kept.values()
    )


def family_abilities(model: LanguageModel) -> frozenset[Ability]:
    return next(family.abilities for family in FAMILIES if family.model is type(model))


@pytest.mark.parametrize("family", TRANSFORMERS, ids=lambda family: family.name)
def test_the_gradients_are_the_same_and_fewer_bytes_are_kept(family: Family) -> None:
    """Families with dropout draw it, the same twice."""
    model = build(family)
    plain, all_bytes = backward(model, on=False)
    plain = {name: gradient.clone() for name, gradient in plain.items()}
    found, fewer_bytes = backward(model, on=True)
    assert found.keys() == plain.keys()
    assert all(torch.equal(gradient, found[name]) for name, gradient in plain.items())
    assert any(gradient.abs().sum() > 0 for gradient in plain.values())
    assert fewer_bytes < 0.7 * all_bytes


def test_a_further_layer_costs_one_hidden_state() -> None:
    llama = next(family for family in FAMILIES if family.name == "llama")
    small, large = (backward(build(llama, num_hidden_layers=n), on=True)[1] for n in (2, 5))
    assert large - small == 3 * 2 * 17 * SETTINGS["llama"]["hidden_size"] * 8  # layers · B · T · D · bytes


def test_layers_are_left_as_they_were(new_model: NewModel) -> None:
    model = new_model()
    with layers_recomputed(model):
        assert "forward" in vars(model.get_submodule("layers.0"))
    assert "forward" not in vars(model.get_submodule("layers.0"))
    with pytest.raises(RuntimeError, match="stop"), layers_recomputed(model):
        raise RuntimeError("stop")
    assert "forward" not in vars(model.get_submodule("layers.0"))


def test_a_run_learns_the_same_weights(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: Callable[[str], Run]
) -> None:
    plain, saving = new_model(), new_model()
    for name, model, on in (("a", plain, False), ("b", saving, True)):
        settings = config.model_copy(update={"activation_checkpointing": on})
        parts: dict[str, Any] = {"task": CausalLM(), "data": data, "seed": 1}
        train(settings, AdamWConfig(), ScheduleConfig(), model=model, run=new_run(name), **parts)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), saving.parameters(), strict=True))


def test_a_model_without_a_list_of_layers_is_refused() -> None:
    with (
        pytest.raises(UsageError, match="has no list of layers; choose a Transformer family"),
        layers_recomputed(nn.LSTM(2, 2)),
    ):
        pass
    recipe = {"name": "a", "data": {"train": "stdlib"}, "model": {"family": "lstm"}}
    with pytest.raises(
        ConfigError, match=r"train\.activation_checkpointing: is for Transformers, and lstm is recurrent"
    ):
        check(Recipe, {**recipe, "train": {"activation_checkpointing": True}}, where="test")
