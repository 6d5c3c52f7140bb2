"""The LSTM encoder–decoder answers as its formulas do, written out token by token over torch's own cells."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wenlu.models import LanguageModel, family

VOCAB = 23
ROW = family("lstm_encoder_decoder")
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "narrow embedding": {"embedding_size": 5},
    "wide embedding": {"embedding_size": 17},
    "tied": {"tie_word_embeddings": True, "embedding_size": 7},
    "two layers": {"num_hidden_layers": 2},
    "deeper encoder": {"num_hidden_layers": 3, "num_decoder_layers": 1},
    "deeper decoder": {"num_hidden_layers": 1, "num_decoder_layers": 3},
    "narrow attention": {"attention_size": 3},
    "wide attention": {"attention_size": 30, "hidden_size": 7, "num_decoder_layers": 2},
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def ids(length: int, seed: int) -> list[int]:
    return torch.randint(0, VOCAB, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def ours(case: dict[str, Any]) -> LanguageModel:
    torch.manual_seed(4)
    settings: dict[str, Any] = {
        "vocab_size": VOCAB,
        "hidden_size": 10,
        "initializer_range": 1.0,
        "dropout": 0.3,
        **case,
    }
    model = ROW.build(ROW.config(**settings), dtype=torch.float64).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)  # that every part matters
    return model


def cell(weights: dict[str, Tensor], name: str, suffix: str = "") -> nn.LSTMCell:
    """torch's cell with the weights `name`…`suffix`."""
    parts = {part: weights[f"{name}{part}{suffix}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    made = nn.LSTMCell(parts["weight_ih"].size(1), parts["weight_hh"].size(1)).double()
    made.load_state_dict(parts)
    return made


def run(one: nn.LSTMCell, inputs: list[Tensor]) -> list[Tensor]:
    h = c = torch.zeros(1, one.hidden_size, dtype=torch.float64)
    outputs = []
    for x in inputs:
        h, c = one(x, (h, c))
        outputs.append(h)
    return outputs


class ByHand:
    """One source, read once; then one target token after another."""

    def __init__(self, model: LanguageModel, source: list[int]) -> None:
        self.weights = model.state_dict()
        config: Any = model.config
        x = [self.weights["embed_tokens.weight"][token][None] for token in source]
        for layer in range(config.num_hidden_layers):
            ahead = run(cell(self.weights, "encoder.", f"_l{layer}"), x)
            back = run(cell(self.weights, "encoder.", f"_l{layer}_reverse"), x[::-1])[::-1]
            x = [torch.cat(pair, dim=1) for pair in zip(ahead, back, strict=True)]
        self.encoded = x
        self.cells = [cell(self.weights, f"decoder.{layer}.") for layer in range(config.num_decoder_layers)]
        start = torch.tanh(self.linear("start", back[0]))
        self.h = list(start.split(config.hidden_size, dim=1))
        self.c = [torch.zeros_like(h) for h in self.h]

    def linear(self, name: str, x: Tensor) -> Tensor:
        out = x @ self.weights[f"{name}.weight"].T
        return out + self.weights[f"{name}.bias"] if f"{name}.bias" in self.weights else out

    def logits(self, token: int) -> Tensor:
        """(V,) of the token after `token`."""
        x = self.weights["embed_tokens.weight"][token][None]
        query = self.linear("cross_attn.q_proj", self.h[-1])
        scores = [
            self.linear("cross_attn.score", torch.tanh(query + self.linear("cross_attn.k_proj", h)))
            for h in self.encoded
        ]
        shares = torch.cat(scores).softmax(dim=0)
        context = sum(share * h for share, h in zip(shares, self.encoded, strict=True))
        assert isinstance(context, Tensor)
        inner = torch.cat((x, context), dim=1)
        for layer, one in enumerate(self.cells):
            self.h[layer], self.c[layer] = one(inner, (self.h[layer], self.c[layer]))
            inner = self.h[layer]
        read = torch.tanh(self.linear("readout", torch.cat((inner, context, x), dim=1)))
        return self.linear("lm_head", read)[0]


@cases
def test_logits_are_those_of_the_formulas(case: dict[str, Any]) -> None:
    model, source, target = ours(case), ids(9, 1), ids(7, 2)
    hand = ByHand(model, source)
    expected = torch.stack([hand.logits(token) for token in target])
    found = model(torch.tensor([source]), decoder_input_ids=torch.tensor([target]))[0]
    assert (found - expected).abs().max() < 1e-9


@cases
def test_padded_rows_are_those_of_the_formulas(case: dict[str, Any]) -> None:
    model, sources, targets = ours(case), [ids(n, n) for n in (4, 1, 9)], [ids(5, n) for n in (30, 31, 32)]
    rows = torch.tensor([[0] * (9 - len(source)) + source for source in sources])
    mask = torch.tensor([[0] * (9 - len(source)) + [1] * len(source) for source in sources])
    found = model(rows, attention_mask=mask, decoder_input_ids=torch.tensor(targets))
    for index, (source, target) in enumerate(zip(sources, targets, strict=True)):
        hand = ByHand(model, source)
        expected = torch.stack([hand.logits(token) for token in target])
        assert (found[index] - expected).abs().max() < 1e-9


@cases
def test_thirty_two_greedy_tokens_are_equal(case: dict[str, Any]) -> None:
    """None of the last 20 twice, as a random model would else soon stand still."""
    model, source = ours(case), ids(6, 5)
    hand, state = ByHand(model, source), model.init_state(1)
    by_hand, cached = [3], [3]
    with torch.no_grad():
        for step in range(32):
            by_hand.append(best_new(hand.logits(by_hand[-1]), by_hand))
            start = None if step else torch.tensor([source])
            logits = model(start, decoder_input_ids=torch.tensor([cached[-1:]]), state=state)[0, 0]
            cached.append(best_new(logits, cached))
    assert cached == by_hand


def best_new(logits: Tensor, before: list[int]) -> int:
    return int(logits.index_fill(0, torch.tensor(before[-20:]), -torch.inf).argmax())
