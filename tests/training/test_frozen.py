"""Weights that are frozen stay as they are, and the others move."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from wenlu.errors import ConfigError
from wenlu.models import LanguageModel, family
from wenlu.rundir import Run
from wenlu.tasks import CausalLM
from wenlu.training import (
    OptimizerConfig,
    ScheduleConfig,
    TrainConfig,
    TrainData,
    freeze,
    train,
)
from wenlu.training.optimizers import OPTIMIZERS


@pytest.mark.parametrize("optimizer", [row() for row in OPTIMIZERS], ids=lambda config: config.name)
def test_frozen_weights_do_not_move_under_any_optimizer(
    optimizer: OptimizerConfig,
    config: TrainConfig,
    new_model: Callable[[], LanguageModel],
    data: TrainData,
    new_run: Callable[[str], Run],
) -> None:
    model = new_model()
    freeze(model, ["layers.0", "embed_tokens"])
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    schedule = ScheduleConfig(name="constant", warmup_steps=0)
    train(config, optimizer, schedule, model=model, task=CausalLM(), data=data, run=new_run("a"), seed=1)
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert not any("layers.0." in name or "embed_tokens" in name for name in moved)
    assert {name for name in before if "layers.1." in name} <= moved


def test_what_cannot_be_frozen_is_told(new_model: Callable[[], LanguageModel]) -> None:
    with pytest.raises(ConfigError, match=r"no weight has 'layer' in its name; parts of this model: .*layers"):
        freeze(new_model(), ["layer"])
    model = new_model()
    parts = sorted({name.split(".")[0] for name, _ in model.named_parameters()})
    with pytest.raises(ConfigError, match="leaves nothing to train"):
        freeze(model, parts)


def test_a_tied_weight_is_frozen_by_either_of_its_names() -> None:
    bert = family("bert")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    for part in ("embed_tokens", "lm_head.decoder"):
        model = bert.build(bert.config(vocab_size=11, **sizes))
        freeze(model, [part])
        assert not model.get_parameter("embed_tokens.weight").requires_grad
