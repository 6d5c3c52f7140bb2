"""What the checks look at: eight rows that differ, and of a large model its first layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.tiny import SIZES

from wenlu.corpus.examples import Examples
from wenlu.corpus.ragged import Ragged
from wenlu.models import LanguageModel, family
from wenlu.training.checks.subject import eight, shallow


def built(name: str) -> LanguageModel:
    chosen = family(name)
    wanted: dict[str, Any] = {
        **SIZES,
        "num_hidden_layers": 5,
        "num_layers": 5,
        "decoder_layers": 5,
        "encoder_layers": 5,
    }
    sizes = {key: value for key, value in wanted.items() if key in chosen.config.model_fields}
    torch.manual_seed(0)
    return chosen.build(chosen.config(vocab_size=40, bos_token_id=0, **sizes)).eval()


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2", "bert", "modernbert", "t5", "bart", "lstm"])
@torch.no_grad()
def test_a_large_model_is_cut_to_its_first_layers_and_answers(name: str) -> None:
    model = built(name)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    assert shallow(model) is model
    cut = shallow(model, most=1)
    ids = torch.arange(12).reshape(2, 6)
    target = {"decoder_input_ids": ids} if name in ("t5", "bart") else {}
    assert torch.isfinite(cut.hidden(ids, **target)).all()
    names = {key for key in before if ".layers.2." in f".{key}"}
    assert bool(names) == (name != "lstm")
    assert not names & cut.state_dict().keys()
    assert all(torch.equal(weight, before[key]) for key, weight in cut.state_dict().items())
    for weight in cut.parameters():
        weight.add_(1.0)
    assert all(torch.equal(weight, before[key]) for key, weight in model.state_dict().items())


def test_the_eight_are_short_differ_and_have_all_labels() -> None:
    rows = [[9] * size for size in (7, 5, 5, 3, 4, 30, 40, 6, 8, 9, 10, 11)]
    labels = np.array([0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0])
    source = Examples(Ragged.of(rows), length=64, pad_id=0, labels=labels)
    assert eight(source).tolist() == [3, 5, 6, 4, 1, 7, 0, 8]
