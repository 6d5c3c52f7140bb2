"""One body with a head for each of several tasks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from wenlu.models import LanguageModel
from wenlu.tasks.labelled import Headed


class ManyHeaded(Headed):
    """A body, the head of each member, and where losses are weighed by it, the logarithm s of each one's variance.

    s is kept in float32 at least: in bfloat16 a step would vanish beside it.
    """

    def __init__(self, body: LanguageModel, heads: Mapping[str, nn.Module], variances: Mapping[str, float]) -> None:
        super().__init__(body, nn.ModuleDict({_key(name): head for name, head in heads.items()}))
        first = next(body.parameters())
        new = partial(torch.full, (1,), dtype=torch.promote_types(first.dtype, torch.float32), device=first.device)
        self.log_variances = nn.ParameterDict(
            {_key(name): nn.Parameter(new(value)) for name, value in variances.items()}
        )

    def of(self, name: str) -> Headed:
        """The model of one member; it shares all its weights."""
        view = Headed(self.body, self.get_submodule(f"task_head.{_key(name)}"))
        view.training = self.training  # of the view alone: the parts are as they are
        return view

    def log_variance(self, name: str) -> Tensor:
        """(1,)"""
        return self.get_parameter(f"log_variances.{_key(name)}")


def _key(name: str) -> str:
    """What torch has no attribute of its own by: `type` is one, `for_type` is not."""
    return f"for_{name}"
