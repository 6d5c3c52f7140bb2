"""Save a run's state, and go on from the newest good one."""

from __future__ import annotations

from wenlu.errors import ResourceError
from wenlu.progress import Progress
from wenlu.rundir import Run
from wenlu.training.state import TrainState


def save(state: TrainState, run: Run, *, keep: int) -> None:
    """A checkpoint of the state, and the events up to it on disk."""
    run.save_checkpoint(state.step, state.tensors(), state.facts(), keep=keep)


def try_to_save(state: TrainState, run: Run, *, keep: int, progress: Progress) -> None:
    """A checkpoint, or where the disk refuses it a warning: training goes on, and the next one is tried again."""
    try:
        save(state, run, keep=keep)
    except ResourceError as error:
        progress.warn(f"no checkpoint at step {state.step:,}, training goes on: {error}")


def resume(state: TrainState, run: Run, progress: Progress) -> TrainState:
    """The state of the run's newest good checkpoint, with later events forgotten; the given one where there is none."""
    checkpoint = run.newest_checkpoint(progress)
    if checkpoint is not None:
        state.restore(checkpoint.tensors, checkpoint.state)
        progress.warn(f"goes on from step {state.step:,}")
    run.forget_after(state.step)
    return state
