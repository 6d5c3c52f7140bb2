"""RNN, LSTM and GRU language models are torch's modules between an embedding and a head."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import pytest
import torch
from torch import nn

from wenlu.models import FAMILIES, Ability, Family

RECURRENT = [row for row in FAMILIES if Ability.RECURRENT in row.abilities]
CASES: dict[str, dict[str, Any]] = {
    "one layer": {},
    "three layers": {"num_hidden_layers": 3},
    "projected": {"embedding_size": 5, "num_hidden_layers": 2},
    "tied": {"embedding_size": 5, "tie_word_embeddings": True},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("row", RECURRENT, ids=attrgetter("name"))
def test_logits_and_states_equal_those_of_torch(row: Family, case: dict[str, Any]) -> None:
    config = row.config(vocab_size=17, **{"hidden_size": 9, **case})
    model = row.build(config, dtype=torch.float64).eval()
    weights = model.state_dict()
    width = case.get("embedding_size", 9)
    reference = getattr(nn, row.reference.removeprefix("torch.nn."))(
        width, 9, case.get("num_hidden_layers", 1), batch_first=True, dtype=torch.float64
    )
    reference.load_state_dict({k.removeprefix("layers."): v for k, v in weights.items() if k.startswith("layers.")})
    ids = torch.randint(0, 17, (3, 11))
    out, memory = reference(weights["embed_tokens.weight"][ids])
    if width != 9:
        out = out @ weights["proj.weight"].T
    state = model.init_state(3)
    torch.testing.assert_close(model(ids, state=state), out @ weights["lm_head.weight"].T)
    expected = memory if isinstance(memory, tuple) else (memory,)
    for ours, theirs in zip(state.memory, expected, strict=True):  # type: ignore[attr-defined]
        torch.testing.assert_close(ours, theirs)


def test_a_relu_rnn_equals_that_of_torch() -> None:
    row = next(row for row in RECURRENT if row.name == "rnn")
    model = row.build(row.config(vocab_size=17, hidden_size=9, nonlinearity="relu"), dtype=torch.float64)
    reference = nn.RNN(9, 9, nonlinearity="relu", batch_first=True, dtype=torch.float64)
    weights = model.state_dict()
    reference.load_state_dict({k.removeprefix("layers."): v for k, v in weights.items() if k.startswith("layers.")})
    ids = torch.randint(0, 17, (3, 11))
    torch.testing.assert_close(model.hidden(ids), reference(weights["embed_tokens.weight"][ids])[0])


def test_an_lstm_begins_with_its_forget_gate_open() -> None:
    row = next(row for row in RECURRENT if row.name == "lstm")
    model = row.build(row.config(vocab_size=17, hidden_size=9, num_hidden_layers=2))
    for layer in range(2):
        bias = model.get_parameter(f"layers.bias_ih_l{layer}")
        assert (bias[9:18] == 1).all()
        assert (bias[:9].abs() <= 1 / 3).all()


@pytest.mark.parametrize("row", RECURRENT, ids=attrgetter("name"))
def test_dropout_acts_in_training_only(row: Family) -> None:
    model = row.build(row.config(vocab_size=17, hidden_size=9, num_hidden_layers=2, dropout=0.5))
    ids = torch.randint(0, 17, (1, 6))
    assert not torch.equal(model(ids), model(ids))
    model.eval()
    assert torch.equal(model(ids), model(ids))
