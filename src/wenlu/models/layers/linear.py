"""A linear map that trains at the hardware's speed."""

from __future__ import annotations

from torch import Tensor, nn

from wenlu.kernels.linear import linear, linears


class Linear(nn.Linear):
    """torch's, but for how the gradient of the weight is computed."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def side_by_side(x: Tensor, *maps: nn.Module) -> tuple[Tensor, ...]:
    """What several maps make of the same input: together, where each is no more than its weights."""
    plain = [each for each in maps if type(each) is Linear and not each._forward_hooks and not each._forward_pre_hooks]
    if len(plain) < len(maps):
        return tuple(each(x) for each in maps)
    return linears(x, [each.weight for each in plain], [each.bias for each in plain])
