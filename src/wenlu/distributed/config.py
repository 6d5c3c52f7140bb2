"""How several processes share a training run."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from wenlu.config import Config


class DistributedConfig(Config):
    """The section `[distributed]`; of no effect in a single process.

    It may change between two resumptions of a run, as may the number of processes.
    """

    parallel: Literal["auto", "ddp", "fsdp"] = "auto"
    """`ddp`: each process holds the whole model; `fsdp`: a part of each weight, gathered layer by layer when it is
    needed (Zhao et al. 2023, arXiv:2304.11277); "auto" takes ddp."""
    tensor_parallel: PositiveInt = 1
    """How many processes share each product of a layer (Shoeybi et al. 2019, arXiv:1909.08053)."""
    timeout_seconds: PositiveInt = 600
    """How long processes wait for one that does not answer, before they end with an error."""

    def cuts(self, processes: int) -> bool:
        """Whether no process holds the whole model."""
        return processes > 1 and (self.parallel == "fsdp" or self.tensor_parallel > 1)
