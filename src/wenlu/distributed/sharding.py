"""Cut the weights of a built model: tensor parallelism first, then FSDP2, both of torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

from wenlu.distributed.placement import DATA, TENSOR, Plan, Units
from wenlu.rundir.parts import Part, whole

_STYLES: dict[str, Any] = {"outputs": ColwiseParallel, "inputs": RowwiseParallel}


def cut(
    model: nn.Module, mesh: DeviceMesh, *, plan: Plan | None, units: Units | None
) -> tuple[dict[str, nn.Parameter], dict[str, Part], dict[str, int], frozenset[str]]:
    """Cut `model` in place by `plan` over one dimension of the mesh, by `units` over the other.

    Returns:
        By name of the weight: what is held here, as plain tensors; where it is, of weights that are cut; how many
        processes hold the same; and the weights whose part has this process as its first holder.
    """
    if plan is not None:
        styles = {name: _STYLES[kind]() for name, kind in plan.items() if kind in _STYLES}
        parallelize_module(model, mesh[TENSOR], styles)
    before = {name: _tensor_part(weight) for name, weight in model.named_parameters()}
    if units is not None:
        _shard(model, units, mesh[DATA])
    weights = dict(model.named_parameters())
    held = {name: _held(weight) for name, weight in weights.items()}
    parts = {
        name: before[name] if units is None else _data_part(before[name], mesh[DATA], held[name])
        for name, weight in weights.items()
        if isinstance(weight, DTensor)
    }
    copies, first = {}, set()
    for name, part in before.items():
        alike = [mesh[TENSOR]] if part.shape == part.whole else []
        alike += [mesh[DATA]] if units is None else []
        copies[name] = math.prod(each.size() for each in alike)
        if all(each.get_local_rank() == 0 for each in alike):
            first.add(name)
    return held, parts, copies, frozenset(first)


def move_gradients(model: nn.Module, held: Mapping[str, nn.Parameter]) -> None:
    """Add the gradients of cut weights to those of the parts that are held, and clear them."""
    for name, weight in model.named_parameters():
        gradient = weight.grad
        if isinstance(weight, DTensor) and isinstance(gradient, DTensor):
            local = gradient.redistribute(placements=weight.placements).to_local()
            part = held[name]
            part.grad = local if part.grad is None else part.grad.add_(local)
            weight.grad = None


def forget_gathered(model: nn.Module) -> None:
    """Let go of weights that were gathered for a forward pass without a backward pass."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def _shard(model: nn.Module, units: Units, mesh: DeviceMesh) -> None:
    """FSDP2 whose parts are of at least 32 bits and whose sums are sums, not means."""
    dtype = next(model.parameters()).dtype
    policy = MixedPrecisionPolicy()
    if dtype in (torch.bfloat16, torch.float16):
        model.float()
        policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for name, methods in units.items():
        unit = model.get_submodule(name)
        module = fully_shard(unit, mesh=mesh, mp_policy=policy, reshard_after_forward=bool(name))
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)  # gloo has no other
        for method in methods:
            register_fsdp_forward_method(unit, method)


def _tensor_part(weight: Tensor) -> Part:
    """What tensor parallelism leaves here of a weight."""
    if not isinstance(weight, DTensor):
        return whole(tuple(weight.shape))
    held, number = tuple(_held(weight).shape), weight.device_mesh.get_local_rank()
    offset = tuple(number * size if size != all_ else 0 for size, all_ in zip(held, weight.shape, strict=True))
    return Part(tuple(weight.shape), offset, held)


def _data_part(before: Part, mesh: DeviceMesh, held: Tensor) -> Part:
    """What FSDP2 leaves of it: a run of rows, as torch.chunk cuts them."""
    chunk = -(-before.shape[0] // mesh.size())
    begin = min(mesh.get_local_rank() * chunk, before.shape[0])
    rows = min(chunk, before.shape[0] - begin)
    assert len(held) == rows, f"FSDP2 holds {len(held)} rows where {rows} were expected"
    return Part(before.whole, (before.offset[0] + begin, *before.offset[1:]), (rows, *before.shape[1:]))


@torch.no_grad()
def _held(weight: Tensor) -> nn.Parameter:
    """The memory of a part as a weight of its own; a weight that is not cut itself."""
    if isinstance(weight, DTensor):
        return nn.Parameter(weight.to_local().detach(), requires_grad=weight.requires_grad)
    assert isinstance(weight, nn.Parameter)
    return weight
