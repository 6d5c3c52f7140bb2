"""One checkpoint of several processes: each writes what it holds, the first one makes it whole.

All processes call these functions together. What fails in one of them fails in all, with the same error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from wenlu.distributed.world import World
from wenlu.errors import Diverged, ResourceError, WeightsError
from wenlu.progress import QUIET, Progress
from wenlu.rundir import checkpoint
from wenlu.rundir.checkpoint import Checkpoint
from wenlu.rundir.parts import Part

_ERRORS = {kind.__name__: kind for kind in (Diverged, ResourceError, WeightsError)}


def save(
    world: World,
    folder: Path,
    step: int,
    tensors: Mapping[str, Tensor],
    state: Mapping[str, Any],
    *,
    parts: Mapping[str, Part],
    keep: int = 2,
    progress: Progress = QUIET,
) -> None:
    """Write the checkpoint of `step`; see `rundir.checkpoint.save`.

    Args:
        tensors: what no other process writes. parts: which of them are blocks of larger tensors.
        state: of the first process.
    """
    _together(world, lambda: checkpoint.refuse_non_finite(step, tensors))
    size = sum(world.gather(sum(tensor.nbytes for tensor in tensors.values())))
    with ExitStack() as stack:

        def open_folder() -> str:
            return str(stack.enter_context(checkpoint.opened(folder, step, size=size)))

        temporary = Path(_first(world, open_folder))
        written = _together(
            world,
            lambda: checkpoint.write_tensors(temporary, tensors, parts, prefix=f"process-{world.rank:05d}-"),
        )

        def finish() -> None:
            checkpoint.write_manifest(temporary, step, state, written)
            stack.close()
            checkpoint.close(folder, step, keep=keep, progress=progress)

        _first(world, finish)


def newest_good(
    world: World, folder: Path, *, up_to: int | None = None, progress: Progress = QUIET
) -> Checkpoint | None:
    """The newest whole checkpoint, as the first process finds it; see `rundir.checkpoint.newest_good`."""

    def find() -> dict[str, Any] | None:
        found = checkpoint.newest_good(folder, up_to=up_to, progress=progress)
        return None if found is None else {"name": found.path.name, "passed_over": found.passed_over}

    found = _first(world, find)
    if found is None:
        return None
    return replace(checkpoint.read_manifest(folder / found["name"]), passed_over=tuple(found["passed_over"]))


def _first(world: World, action: Callable[[], Any]) -> Any:
    """What the action gives in the first process."""
    return _together(world, action if world.is_first else lambda: None)[0]


def _together(world: World, action: Callable[[], Any]) -> list[Any]:
    """What the action gives in each process; raises in all of them what it raises in one."""
    result, problem, kind = None, None, ""
    try:
        result = action()
    except OSError as error:
        problem, kind = f"{error.filename or 'a file'}: {error.strerror or error}", ResourceError.__name__
    except tuple(_ERRORS.values()) as error:
        problem, kind = str(error), type(error).__name__
    outcomes = world.gather([result, problem, kind])
    for _, problem, kind in outcomes:
        if problem is not None:
            raise _ERRORS[kind](problem)
    return [result for result, _, _ in outcomes]
