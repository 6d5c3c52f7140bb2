"""Save a run's state, and go on from the newest good one: after an interruption, and after divergence."""

from __future__ import annotations

from wenlu.errors import Diverged, ResourceError
from wenlu.progress import Progress
from wenlu.rundir import Run
from wenlu.training import checkpoints
from wenlu.training.config import TrainConfig
from wenlu.training.state import News, TrainState

RATE_CUT = 0.5
"""What a roll-back multiplies every learning rate by, from then on."""


def save(state: TrainState, run: Run, *, keep: int) -> None:
    """A checkpoint of the state, and the events up to it on disk."""
    checkpoints.write(state, run, keep=keep)


def try_to_save(state: TrainState, config: TrainConfig, run: Run, progress: Progress) -> None:
    """A checkpoint, or where the disk refuses it a warning: training goes on, and the next one is tried again.

    A state that is not finite is no checkpoint: see `after_step`.
    """
    try:
        save(state, run, keep=config.keep_checkpoints)
    except ResourceError as error:
        progress.warn(f"no checkpoint at step {state.step:,}, training goes on: {error}")
    except Diverged as error:
        state.diverged = str(error)
        _roll_back(state, config, run, progress)


def resume(state: TrainState, config: TrainConfig, run: Run, progress: Progress) -> TrainState:
    """The state of the run's newest good checkpoint, with later events forgotten; the given one where there is none."""
    checkpoint = checkpoints.newest(state, run, progress)
    if checkpoint is not None:
        state.restore(checkpoint.tensors, checkpoint.facts)
        progress.warn(f"goes on from step {state.step:,}")
    run.forget_after(state.step)
    if checkpoint is None and config.on_divergence == "roll-back":
        try_to_save(state, config, run, progress)  # or there would be nothing to go back to
    return state


def after_step(state: TrainState, norm: float, config: TrainConfig, run: Run, progress: Progress) -> bool:
    """Whether the step stands: tells what happened in it, prepares for the next one, and goes back from divergence.

    Raises:
        Diverged: training diverged, and the settings say to stop, or it went back often enough.
        OutOfMemory: the next step would take more than there is.
    """
    if state.skipped and state.skipped[-1] == state.step - 1:
        sentence = f"step {state.step:,} moved nothing: its gradient's norm is {norm:.3g}"
        state.news.append(News("skipped", norm, "norm of the gradient", sentence))
    if state.placement.world.any(state.watermark.is_near(state.rows(config.rows_per_forward))):
        state.shrink(config.rows_per_forward, "near the limit of this machine or its control group")
    tell(state, run, progress)
    if not state.diverged:
        return True
    _roll_back(state, config, run, progress)
    return False


def _roll_back(state: TrainState, config: TrainConfig, run: Run, progress: Progress) -> None:
    why, done, rate, most_rows = state.diverged, state.roll_backs, state.rate * RATE_CUT, state.most_rows
    if config.on_divergence == "stop" or done == config.roll_backs:
        rates = " or ".join(f"optimizer.{key}" for key in type(state.config).model_fields if key.endswith("lr"))
        tried = f" after {done} roll-backs" if done else ""
        other = "" if config.on_divergence == "roll-back" else ', or train.on_divergence="roll-back"'
        raise Diverged(
            f"training diverged{tried}: {why}. Try a lower {rates}, or a longer schedule.warmup_steps{other}"
        )
    before = min(state.recently_skipped(), default=state.step)
    checkpoint = checkpoints.newest(state, run, progress, up_to=before) or checkpoints.newest(state, run, progress)
    if checkpoint is None:
        raise Diverged(
            f"training diverged: {why}. No checkpoint could be saved that it could go back to; free some space"
        )
    state.restore(checkpoint.tensors, checkpoint.facts)
    state.roll_backs, state.rate, state.judged_from, state.most_rows = done + 1, rate, state.step, most_rows
    run.forget_after(state.step)
    sentence = f"training diverged: {why}; goes on from step {state.step:,} at {rate:g} times the rate"
    state.news.append(News("roll_back", rate, f"of the scheduled rate, because {why}", sentence))
    tell(state, run, progress)
    try_to_save(state, config, run, progress)


def tell(state: TrainState, run: Run, progress: Progress) -> None:
    """Log and show the news."""
    for news in state.news:
        progress.warn(news.sentence)
        run.log(news.name, news.value, news.unit, step=state.step, tokens=state.tokens, seconds=state.seconds)
    state.news.clear()
