"""Every Transformer family trains as well with the kernels in C++ as with torch's operators, on packed rows."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

import pytest
import torch
from torch import Tensor

from wenlu.kernels import native
from wenlu.models import FAMILIES, Ability, Family, LanguageModel

VOCAB = 31
DRAWS = 4
"""Of weights: where the tiny one's attention is sharp, a rounding moves the gradient of a single draw by a third."""
TRANSFORMERS = [
    row
    for row in FAMILIES
    if row.abilities & {Ability.CAUSAL, Ability.MASKED} and Ability.RECURRENT not in row.abilities
]
WHY_NOT = native.why_not("avx512")


def gradients(model: LanguageModel, ids: Tensor, segments: Tensor) -> Tensor:
    """Of a loss that depends on each hidden state, in one vector of float64."""
    model.zero_grad()
    hidden = model.hidden(ids, segments=segments)
    upstream = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(1))
    (hidden * upstream.to(hidden.dtype)).sum().backward()
    return torch.cat([weight.grad.double().flatten() for weight in model.parameters() if weight.grad is not None])


@pytest.mark.skipif(WHY_NOT is not None, reason=f"no kernels: {WHY_NOT}")
@pytest.mark.parametrize("row", TRANSFORMERS, ids=attrgetter("name"))
def test_gradients_are_as_near_to_the_truth_as_torchs(
    row: Family, tiny: Callable[..., LanguageModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(row).config.at_width(4)  # heads of 32
    squares = torch.zeros(2, dtype=torch.float64)
    for seed in range(DRAWS):
        torch.manual_seed(seed)
        rounded = row.build(config, dtype=torch.bfloat16).eval()
        exact = row.build(config, dtype=torch.float64).eval()
        exact.load_state_dict(rounded.state_dict())
        ids = torch.randint(VOCAB, (2, 37), generator=torch.Generator().manual_seed(seed))
        segments = torch.arange(37).expand(2, 37) // torch.tensor([[10], [13]])
        truth = gradients(exact, ids, segments)
        ours = gradients(rounded, ids, segments)
        with monkeypatch.context() as switched:
            switched.setattr(native, "_loaded", "switched off: {}".format)
            theirs = gradients(rounded, ids, segments)
        assert not torch.equal(ours, theirs), "one way was taken twice"
        squares += torch.stack([((each - truth).norm() / truth.norm()).square() for each in (ours, theirs)])
    distance, torchs = squares.sqrt().tolist()
    assert distance < 1.5 * torchs
