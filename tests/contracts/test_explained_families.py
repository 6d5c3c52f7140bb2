"""What explanations promise of every family that reads a text: gradients that add up, and captum's numbers."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from wenlu.explanation.certificate import is_complete
from wenlu.explanation.methods import COMPLETE, EffortConfig, attention, input_x_gradient, integrated_gradients
from wenlu.explanation.methods.integrated_gradients import along_path
from wenlu.explanation.methods.rollout import rollout
from wenlu.explanation.neural import Aim, NeuralSubject, Row
from wenlu.explanation.subject import Part, Piece, Told
from wenlu.explanation.units import Unit
from wenlu.models import FAMILIES, Ability, Family, LanguageModel
from wenlu.tasks import Batch

Tiny = Callable[..., LanguageModel]
IDS = torch.tensor([5, 9, 3, 22, 7, 14, 30, 2])
BASELINE = 4
READERS = [each for each in FAMILIES if each.abilities & {Ability.CAUSAL, Ability.MASKED}]
reader = pytest.mark.parametrize("row", READERS, ids=attrgetter("name"))
with_attention = pytest.mark.parametrize(
    "row", [each for each in READERS if Ability.RECURRENT not in each.abilities], ids=attrgetter("name")
)


def scores(model: LanguageModel, batch: Batch) -> Tensor:
    """(B, D) of the last token, bent so that gradients change along the path."""
    hidden = model.hidden(batch.input_ids, attention_mask=batch.attention_mask)
    return torch.tanh(hidden.mean(dim=1))


def subject(model: LanguageModel, ids: Tensor = IDS) -> NeuralSubject:
    """The first and the last token are around the text."""
    model = model.eval()
    owners = torch.tensor([-1, *range(len(ids) - 2), -1])
    size = scores(model, Batch(ids[None], ids[:0], torch.ones(1, len(ids), dtype=torch.int64))).shape[1]
    direction = torch.linspace(-1, 1, size, dtype=next(model.parameters()).dtype)
    embed: Any = model.embed_tokens
    return NeuralSubject(
        model=model,
        rows=(Row(ids, None, owners, torch.full((len(ids),), 1 / len(ids))),),
        aim=Aim(scores, direction, lambda found: torch.sigmoid(found @ direction)),
        baseline=embed(torch.tensor([BASELINE]))[0].detach(),
        told=Told("test", {}, "x", None, "value", "chance"),
        parts=(Part("text", "abcdefgh"[: len(ids) - 2]),),
        pieces=tuple(Piece(0, place, place + 1) for place in range(len(ids) - 2)),
        removal="replaced: token",
        model_digest="",
        tokenizer_digest=None,
    )


def units(found: NeuralSubject) -> list[Unit]:
    return [Unit(0, place, place + 1, (place,)) for place in range(len(found.pieces))]


@reader
def test_integrated_gradients_add_up_or_say_that_they_do_not(row: Family, tiny: Tiny) -> None:
    asked = subject(tiny(row))
    found = integrated_gradients.attribute(asked, units(asked), EffortConfig())
    assert is_complete(found) == (found.completeness_error is not None and found.completeness_error < COMPLETE)
    assert is_complete(found), f"{found.completeness_error} after {found.steps} nodes"
    ends = asked.ask(np.array([[False] * 6, [True] * 6])).values
    assert found.amounts.sum() == pytest.approx(ends[1] - ends[0], rel=1e-3)


@reader
def test_on_equal_nodes_integrated_gradients_are_captums(row: Family, tiny: Tiny) -> None:
    from captum.attr import LayerIntegratedGradients

    asked = subject(tiny(row))
    baselines = torch.where(asked.rows[0].owners >= 0, BASELINE, IDS)
    oracle = LayerIntegratedGradients(lambda ids: value(asked, ids), asked.model.embed_tokens)
    theirs = oracle.attribute(IDS[None], baselines[None], n_steps=16, method="gausslegendre")
    np.testing.assert_allclose(along_path(asked, 16), theirs.sum(dim=2)[0, 1:-1].detach().numpy(), atol=1e-5)


@reader
def test_input_x_gradient_is_captums(row: Family, tiny: Tiny) -> None:
    from captum.attr import LayerGradientXActivation

    asked = subject(tiny(row))
    theirs = LayerGradientXActivation(lambda ids: value(asked, ids), asked.model.embed_tokens).attribute(IDS[None])
    found = input_x_gradient.attribute(asked, units(asked), EffortConfig())
    np.testing.assert_allclose(found.amounts, theirs.sum(dim=2)[0, 1:-1].detach().numpy(), atol=1e-5)


@reader
def test_a_token_that_is_the_baseline_already_has_nothing(row: Family, tiny: Tiny) -> None:
    ids = IDS.clone()
    ids[3] = BASELINE
    assert along_path(subject(tiny(row), ids), 8)[2] == 0


@with_attention
def test_attention_is_what_the_model_mixed_with(row: Family, tiny: Tiny) -> None:
    asked = subject(tiny(row))
    layers = attention.weights_of(asked, asked.rows[0])
    assert len(layers) == asked.model.config.num_hidden_layers  # type: ignore[attr-defined]
    for weights in layers:
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones_like(weights.sum(dim=-1)), atol=1e-6, rtol=0)
        if Ability.CAUSAL in row.abilities:
            assert not weights.triu(1).any()
    torch.testing.assert_close(rollout(layers).sum(dim=1), torch.ones(8, dtype=torch.float64), atol=1e-6, rtol=0)


def value(asked: NeuralSubject, ids: Tensor) -> Tensor:
    mask = torch.ones(ids.shape, dtype=torch.int64)
    return asked.aim.read(asked.model, Batch(ids, torch.empty(0), mask)) @ asked.aim.direction
