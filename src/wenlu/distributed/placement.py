"""Apply data, sharded-data and tensor parallelism to a built single-device model, from outside.

Whoever trains sees of each weight the part that this process holds, as a plain tensor, and need not know more: sums
over processes, the norm of all gradients, and where each part belongs are asked of the placement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh

from wenlu.distributed.config import DistributedConfig
from wenlu.distributed.world import LOCAL, World
from wenlu.errors import UsageError
from wenlu.rundir.parts import Part

Plan = Mapping[str, Literal["outputs", "inputs", "sum"]]
Units = Mapping[str, tuple[str, ...]]

DATA, TENSOR = "data", "tensor"
"""Dimensions of the mesh of processes."""


@dataclass(frozen=True)
class Placement:
    """Who holds which part of a model, and who reads which rows of a step.

    Attributes:
        weights: what this process holds of each weight, sharing memory with the model.
        share: which part of the rows of a step this process reads, and of how many.
        parts: where in the whole weight that is; of weights that are cut only.
        copies: how many processes hold the same part. first_copies: the parts whose first holder this process is.
    """

    model: nn.Module
    weights: Mapping[str, nn.Parameter]
    world: World = LOCAL
    share: tuple[int, int] = (0, 1)
    parts: Mapping[str, Part] = field(default_factory=dict)
    copies: Mapping[str, int] = field(default_factory=dict)
    first_copies: frozenset[str] = frozenset()
    _data: dist.ProcessGroup | None = None
    """Over which whole gradients are summed."""
    _tensor: dist.ProcessGroup | None = None
    _seen_in_part: frozenset[str] = frozenset()
    """Weights that are whole here, though only some heads use them here."""

    @property
    def readers(self) -> range:
        """One process for each part of the rows."""
        return range(0, self.world.size, self.world.size // self.share[1])

    @property
    def is_cut(self) -> bool:
        """Whether no process holds the whole model."""
        return bool(self.parts)

    def writes(self, weight: str) -> bool:
        """Whether this process is the one that writes its part of a cut weight into checkpoints."""
        return weight in self.first_copies and self.parts[weight].size > 0

    def collect_gradients(self) -> None:
        """After a backward pass: move the gradients of parted weights to `weights`."""
        if self.is_cut:
            from wenlu.distributed.sharding import move_gradients  # here, as in `place`

            move_gradients(self.model, self.weights)

    def sum_gradients(self, weights: Mapping[str, nn.Parameter]) -> None:
        """Add up the gradients of a step over all processes, in place; each then has the same sum, bit for bit."""
        if self._data is not None:
            self._fill_missing(weights)
            _sum([weight.grad for weight in weights.values() if weight.grad is not None], self._data)
        if self._tensor is not None:
            partial = [weights[name].grad for name in sorted(self._seen_in_part)]
            _sum([gradient for gradient in partial if gradient is not None], self._tensor)

    def norm(self, weights: Mapping[str, nn.Parameter]) -> Tensor:
        """Of the gradients of all weights together, the same in all processes."""
        gradients = {name: weight.grad for name, weight in weights.items() if weight.grad is not None}
        if not self.is_cut:
            return torch.nn.utils.get_total_norm(list(gradients.values()))
        norms = torch.stack(torch._foreach_norm(list(gradients.values()))).double()
        copies = torch.tensor([self.copies[name] for name in gradients], dtype=torch.float64, device=norms.device)
        total = (norms.square() / copies).sum()
        dist.all_reduce(total)
        return total.sqrt()

    def rest(self) -> None:
        """Forget weights that were gathered for a forward pass without a backward pass."""
        if self.is_cut:
            from wenlu.distributed.sharding import forget_gathered

            forget_gathered(self.model)

    def _fill_missing(self, weights: Mapping[str, nn.Parameter]) -> None:
        """Zeros for a gradient that other processes have and this one has not; none has it: it stays away."""
        held = torch.tensor([weight.grad is not None for weight in weights.values()], dtype=torch.uint8)
        anywhere = held.to(next(iter(weights.values())).device)
        dist.all_reduce(anywhere, dist.ReduceOp.MAX, group=self._data)
        for weight, wanted in zip(weights.values(), anywhere.tolist(), strict=True):
            if wanted and weight.grad is None:
                weight.grad = torch.zeros_like(weight)


def alone(model: nn.Module) -> Placement:
    """A model of a single process."""
    return Placement(model, dict(model.named_parameters()))


def place(
    model: nn.Module, config: DistributedConfig, world: World, *, plan: Plan | None = None, units: Units | None = None
) -> Placement:
    """Share `model` among the processes of `world`, in place.

    Args:
        plan: how modules are cut for tensor parallelism, by name.
        units: modules whose weights are gathered at one time for FSDP2, inner ones first, and their methods beside
            the call that use them.

    Raises:
        UsageError: the number of processes is no multiple of `tensor_parallel`.
    """
    if world.size == 1:
        return alone(model)
    ways = config.tensor_parallel
    if world.size % ways:
        raise UsageError(f"distributed.tensor_parallel={ways} does not divide the {world.size} processes")
    device = next(model.parameters()).device.type
    mesh = init_device_mesh(device, (world.size // ways, ways), mesh_dim_names=(DATA, TENSOR))
    share = (mesh[DATA].get_local_rank(), mesh[DATA].size())
    is_sharded = config.parallel == "fsdp" and share[1] > 1
    data = mesh[DATA].get_group() if share[1] > 1 and not is_sharded else None
    if ways == 1 and not is_sharded:
        return Placement(model, dict(model.named_parameters()), world, share, _data=data)
    from wenlu.distributed.sharding import cut  # here: torch's DTensor takes half a second to import

    held, parts, copies, first = cut(model, mesh, plan=plan if ways > 1 else None, units=units if is_sharded else None)
    return Placement(
        model,
        held,
        world,
        share,
        parts,
        copies,
        first,
        _data=data,
        _tensor=mesh[TENSOR].get_group() if ways > 1 else None,
        _seen_in_part=frozenset(name for name in held if ways > 1 and plan and plan.get(_module(name)) == "sum"),
    )


def _module(weight: str) -> str:
    return weight.rpartition(".")[0]


def _sum(tensors: list[Tensor], group: dist.ProcessGroup) -> None:
    works = [dist.all_reduce(tensor, group=group, async_op=True) for tensor in tensors]
    for work in works:
        work.wait()
