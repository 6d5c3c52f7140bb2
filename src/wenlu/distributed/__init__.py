"""Several processes: meeting, placement of a model, shared checkpoints, launching."""

from wenlu.distributed.config import DistributedConfig
from wenlu.distributed.placement import Placement, alone, place
from wenlu.distributed.world import LOCAL, World, from_environment, opened

__all__ = ["LOCAL", "DistributedConfig", "Placement", "World", "alone", "from_environment", "opened", "place"]
