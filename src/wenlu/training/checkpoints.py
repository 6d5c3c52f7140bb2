"""The state of training in a checkpoint, and back: of one process or of several, that may be others than saved it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wenlu.distributed import checkpoint as shared
from wenlu.models import LanguageModel
from wenlu.progress import QUIET, Progress
from wenlu.rundir import Run
from wenlu.rundir.parts import Part, whole
from wenlu.training.state import TrainState

_RANDOM = "random"


@dataclass(frozen=True)
class Saved:
    """What `TrainState.restore` takes: the tensors as this process holds them."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def write(state: TrainState, run: Run, *, keep: int) -> None:
    """A checkpoint of the state, and the events up to it on disk."""
    placement = state.placement
    if placement.world.size == 1:
        run.save_checkpoint(state.step, state.tensors(), state.facts(), keep=keep)
        return
    run.sync()
    tensors: dict[str, Tensor] = {}
    parts: dict[str, Part] = {}
    for name, tensor in state.tensors().items():
        if name == _RANDOM:
            tensors[_random(placement.world.rank)] = tensor
            continue
        part = placement.parts.get(_weight(name))
        is_cut = part is not None and part.shape == tuple(tensor.shape)
        if placement.writes(_weight(name)) if is_cut else placement.world.is_first:
            tensors[name] = tensor
            if is_cut and part is not None:
                parts[name] = part
    shared.save(placement.world, run.checkpoints, state.step, tensors, state.facts(), parts=parts, keep=keep)


def newest(state: TrainState, run: Run, progress: Progress = QUIET, *, up_to: int | None = None) -> Saved | None:
    """The run's newest whole checkpoint, of steps up to `up_to` if given, cut as `state` is."""
    placement = state.placement
    if placement.world.size == 1:
        found = run.newest_checkpoint(progress, up_to=up_to)
    else:
        found = shared.newest_good(placement.world, run.checkpoints, up_to=up_to, progress=progress)
    if found is None:
        return None
    wanted: dict[str, Part] = {}
    for name, shape in found.shapes.items():
        part = placement.parts.get(_weight(name))
        wanted[name] = part if part is not None and part.whole == shape else whole(shape)
    others = [name for name in wanted if name.startswith(_RANDOM) and name != _random(placement.world.rank)]
    for name in others:
        del wanted[name]
    tensors = found.read(wanted)
    numbers = tensors.pop(_random(placement.world.rank), None)  # a process that is new goes on with its own
    tensors[_RANDOM] = torch.get_rng_state() if numbers is None else numbers
    return Saved(tensors, found.state)


def gathered(state: TrainState, model: LanguageModel, run: Run) -> LanguageModel:
    """`model`, made anew and whole, with the weights to keep of a finished run of which no process has all."""
    decay = None if state.ema is None else state.ema.decay
    alone = TrainState(model, state.config, ema=decay)
    saved = newest(alone, run)
    assert saved is not None, "a finished run has a checkpoint"
    alone.restore(saved.tensors, saved.facts)
    alone.settle()
    return model


def _random(rank: int) -> str:
    return f"{_RANDOM}.{rank}" if rank else _RANDOM


def _weight(name: str) -> str:
    """The weight that a tensor belongs to."""
    kind, _, rest = name.partition(".")
    return rest.rpartition(".")[0] if kind == "optimizer" else rest
