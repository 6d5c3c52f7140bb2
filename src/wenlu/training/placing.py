"""Share a new model among processes, as the settings say."""

from __future__ import annotations

import numpy as np
import torch

from wenlu.distributed import DistributedConfig, Placement, World, place
from wenlu.errors import UsageError
from wenlu.models import LanguageModel
from wenlu.models.parallel import gathered_units, tensor_parallel_plan
from wenlu.training.optimizers import OptimizerConfig


def placed(
    model: LanguageModel, config: DistributedConfig, optimizer: OptimizerConfig, world: World, *, seed: int
) -> Placement:
    """Place `model`, in place, and give processes that read other rows than the first other random numbers.

    Raises:
        UsageError: the model or the optimizer cannot be shared so.
    """
    if world.size == 1:
        return place(model, config, world)
    if config.cuts(world.size) and not optimizer.is_elementwise:
        setting = 'parallel="fsdp"' if config.parallel == "fsdp" else f"tensor_parallel={config.tensor_parallel}"
        raise UsageError(
            f"distributed.{setting}: {optimizer.name} moves whole matrices, and each process holds parts of them; set "
            'optimizer.name="adamw", or distributed.parallel="ddp" with tensor_parallel=1'
        )
    plan = tensor_parallel_plan(model, config.tensor_parallel) if config.tensor_parallel > 1 else None
    units = gathered_units(model) if config.parallel == "fsdp" else None
    placement = place(model, config, world, plan=plan, units=units)
    if placement.share[0]:
        torch.manual_seed(int(np.random.SeedSequence((seed, placement.share[0])).generate_state(1)[0]))
    return placement
