from __future__ import annotations

import torch
from torch import nn

from wenlu.training.masters import Masters


def test_updates_too_small_for_bfloat16_add_up_in_the_master() -> None:
    model = nn.Linear(1, 1, bias=False, dtype=torch.bfloat16)
    nn.init.ones_(model.weight)
    masters = Masters(dict(model.named_parameters()))
    for _ in range(8):
        with torch.no_grad():
            masters.parameters["weight"].add_(1 / 1024)  # alone it rounds to nothing: 1 + 1/1024 == 1 in bfloat16
        masters.push_weights()
    assert model.weight.item() == 1 + 8 / 1024


def test_gradients_of_micro_batches_add_up_in_float32() -> None:
    model = nn.Linear(1, 1, bias=False, dtype=torch.bfloat16)
    masters = Masters(dict(model.named_parameters()))
    for gradient in (1.0, 1 / 512):
        model.weight.grad = torch.tensor([[gradient]], dtype=torch.bfloat16)
        masters.pull_gradients()
    assert masters.parameters["weight"].grad is not None
    assert masters.parameters["weight"].grad.item() == 1 + 1 / 512
    assert model.weight.grad is None


def test_weights_of_32_bits_are_their_own_masters() -> None:
    model = nn.Linear(2, 2)
    assert Masters(dict(model.named_parameters())).parameters["weight"] is model.weight
