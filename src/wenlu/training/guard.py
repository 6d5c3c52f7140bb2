"""What stands around the steps: signals wait for one, memory that ends leaves a checkpoint, what hangs says where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from wenlu.progress import Progress
from wenlu.rundir import Run
from wenlu.training.config import TrainConfig
from wenlu.training.memory import OutOfMemory, is_out_of_memory
from wenlu.training.resume import try_to_save
from wenlu.training.state import TrainState
from wenlu.training.stop import StopSignal
from wenlu.training.watchdog import watched


@contextmanager
def guarded(state: TrainState, config: TrainConfig, run: Run, progress: Progress) -> Iterator[StopSignal]:
    """Within, running out of memory between two updates leaves a checkpoint, and anywhere is a ResourceError; a step
    that does not end for `config.stall_seconds` is told. Gives what knows of SIGINT and SIGTERM."""
    try:
        with StopSignal() as stop, watched(state, config.stall_seconds, run.path, progress):
            yield stop
    except OutOfMemory:
        if state.placement.world.size == 1:  # others are in the middle of their step
            try_to_save(state, config, run, progress)
        raise
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"memory ran out after step {state.step:,}, outside of a forward pass ({error}); free some memory, and the "
            "same command goes on from the last checkpoint"
        ) from error
