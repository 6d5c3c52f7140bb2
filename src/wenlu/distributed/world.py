"""The processes of a run: which one this is, and how they agree."""

from __future__ import annotations

import json
import os
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, TCPStore

from wenlu.errors import ResourceError, UsageError

_PATIENCE = timedelta(days=30)
"""How long processes wait while the first one prepares data; where it dies they notice at once."""

_LOST = re.compile(r"gloo|nccl|connection (closed|reset)|timed? ?out", re.IGNORECASE)
_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@dataclass(frozen=True)
class World:
    """This process among all of a run.

    Attributes:
        rank: its number. local_rank: among those of its machine.
        timeout_seconds: after which one that does not answer counts as lost.
        control: for short messages, on the CPU. patient: for waits without an end.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    timeout_seconds: int = 600
    control: dist.ProcessGroup | None = None
    patient: dist.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes the run."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """What each process gave, in order; all must call it, with something that JSON can write."""
        if self.size == 1:
            return [value]
        data = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        length = torch.tensor([len(data)])
        lengths = [torch.empty_like(length) for _ in range(self.size)]
        dist.all_gather(lengths, length, group=self.control)
        longest = max(int(each) for each in lengths)
        padded = torch.zeros(longest, dtype=torch.uint8)
        padded[: len(data)] = data
        texts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(texts, padded, group=self.control)
        return [json.loads(text[: int(each)].numpy().tobytes()) for text, each in zip(texts, lengths, strict=True)]

    def any(self, value: bool) -> bool:
        """Whether it is true in any process; all must call it."""
        if self.size == 1:
            return value
        flag = torch.tensor([int(value)])
        dist.all_reduce(flag, dist.ReduceOp.MAX, group=self.control)
        return bool(flag)

    def wait(self) -> None:
        """Go on once all processes have come here, however long that takes."""
        if self.size > 1:
            dist.barrier(group=self.patient)

    @contextmanager
    def watched(self, log: Path) -> Iterator[None]:
        """Within, the loss of another process is a ResourceError that says what to do.

        Processes other than the first leave the traceback of what ends them in `log`.
        """
        try:
            with self._losses():
                yield
        except BaseException:
            if not self.is_first and log.parent.is_dir():
                log.write_text(traceback.format_exc(), encoding="utf-8")
            raise

    @contextmanager
    def _losses(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not _LOST.search(str(error)):
                raise
            raise ResourceError(
                f"process {self.rank} of {self.size}: another process ended, or did not answer within "
                f"{self.timeout_seconds} s ({str(error).splitlines()[0]}). The checkpoints are whole: the same command "
                "goes on from the newest one, and torchrun --max-restarts N repeats it by itself"
            ) from error


LOCAL = World()
"""A single process."""


def from_environment() -> World:
    """What torchrun's variables say; `LOCAL` without them. Processes cannot talk to each other yet."""
    found = [os.environ.get(name) for name in _VARIABLES]
    if found[0] is None or found[1] is None:
        return LOCAL
    try:
        rank, size, local_rank, local_size = (int(text or 0) for text in found)
    except ValueError as error:
        said = " ".join(f"{name}={text}" for name, text in zip(_VARIABLES, found, strict=True) if text is not None)
        raise UsageError(f"{said}: not numbers; start several processes with torchrun") from error
    return World(rank, size, local_rank, max(1, local_size))


def _store(world: World, timeout: timedelta) -> PrefixStore:
    """Where processes leave their addresses.

    The agent's own store still has those of processes that it has started anew since, and torch 2.13 reads them. On one
    machine the number of restarts tells them apart; `launch` has the agent make a new store each time.
    """
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    is_kept = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == str(True)
    hosts = world.is_first and not is_kept
    store = TCPStore(address, port, is_master=hosts, timeout=timeout, multi_tenant=True)
    starts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") if world.local_size == world.size else "any"
    return PrefixStore(f"start-{starts}", store)


@contextmanager
def opened(timeout_seconds: int) -> Iterator[World]:
    """Meet the other processes that torchrun started; `LOCAL` where there are none."""
    world = from_environment()
    if world.size == 1:
        yield LOCAL
        return
    timeout = timedelta(seconds=timeout_seconds)
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(world.local_rank)
    backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
    dist.init_process_group(
        backend, timeout=timeout, rank=world.rank, world_size=world.size, store=_store(world, timeout)
    )
    try:
        yield World(
            world.rank,
            world.size,
            world.local_rank,
            world.local_size,
            timeout_seconds,
            control=dist.new_group(backend="gloo", timeout=timeout),
            patient=dist.new_group(backend="gloo", timeout=_PATIENCE),
        )
    finally:
        dist.destroy_process_group()
