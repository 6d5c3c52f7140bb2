"""The verb `tune`: search for the settings with which a recipe learns best."""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from wenlu.config import check, to_toml
from wenlu.config.load import Settings
from wenlu.corpus.prepare import splits
from wenlu.distributed import from_environment
from wenlu.errors import Interrupted, Preempted, ResourceError, UsageError
from wenlu.lifecycle.base import with_base
from wenlu.lifecycle.cache import stage_key
from wenlu.lifecycle.life import Life, member_root
from wenlu.lifecycle.recipe import Recipe
from wenlu.lifecycle.search.results import Findings, findings, write_findings
from wenlu.lifecycle.search.seen import show
from wenlu.lifecycle.search.settings import TuneConfig
from wenlu.lifecycle.search.space import read_settings
from wenlu.lifecycle.search.trial import trial_folder
from wenlu.lifecycle.search.work import Work, work, work_for
from wenlu.lifecycle.verbs import read_stages
from wenlu.progress import QUIET, Progress
from wenlu.rundir import atomic, provenance

_POLL_SECONDS = 0.5


def tune(recipe: str | Path, out: str | Path, overrides: Sequence[str] = (), *, progress: Progress = QUIET) -> Findings:
    """Train the recipe with other settings of `[tune.space]` again and again, each a run in `out/trials`.

    What trials are judged by comes from the validation part; of the test part they have nothing. The same call goes on
    with a search that was stopped or killed, and with more `tune.trials` continues it. Leaves `best.toml`, `tune.json`,
    the plots, and in `out` itself the run of the best trial, which `wenlu evaluate` scores on the test part.

    Raises:
        ConfigError: there is no space, or an end of a range is no valid setting.
        UsageError: there is no validation part, or `out` holds another search.
    """
    path, out = Path(recipe), Path(out)
    settings, config = read_settings(path, overrides)
    base = with_base(check(Recipe, settings, where=str(path)))
    _refuse(base, path)
    origin = provenance(sys.argv, seeds={"run": base.seed}, data={})
    with Life.begin(base, out, origin, progress) as life:
        life = read_stages(life)
        _needs_validation(life)
        deadline = math.inf if config.budget is None else time.time() + config.budget.amount
        todo = Work(
            settings=settings,
            config=config,
            out=out,
            fingerprint=_fingerprint(settings, config),
            session=uuid4().hex,
            seed=base.seed,
            parent=replace(life, root=show(out)),
            read=read_stages,
            deadline=deadline,
            threads=max(1, len(os.sched_getaffinity(0)) // config.processes) if config.processes > 1 else 0,
        )
        todo.queue()  # so that the study is there, and of these settings
        if config.processes == 1:
            work(todo, progress)
        else:
            _work_together(todo, progress)
        found = findings(todo)
        _take_best(life, todo, found)
        write_findings(found, todo)
        return found


def _refuse(recipe: Recipe, path: Path) -> None:
    if from_environment().size > 1:
        raise UsageError("tune starts its own processes; run it without torchrun, with tune.processes=2 for example")
    for section in ("vectors", "architectures"):
        if getattr(recipe, section) is not None:
            raise UsageError(f"{path}: [{section}] cannot be searched; remove the section")
    if not recipe.train.validations:
        raise UsageError("train.validations = 0: trials are judged by their validations; set how many")


def _needs_validation(life: Life) -> None:
    roots = [member_root(life.out, name) for name in life.recipe.members] or [life.out]
    for root in roots:
        if "validation" not in splits(root / "data"):
            raise UsageError(f"{root / 'data'}: no validation part to judge trials by; set data.validation=0.1")


def _fingerprint(settings: Settings, config: TuneConfig) -> str:
    """Of what makes two searches the same, so that one can go on with the other."""
    kept = {key: value for key, value in settings.items() if key not in ("name", "tracking", "evaluate", "language")}
    same = config.model_copy(
        update={"trials": 1, "budget": None, "processes": 1, "keep_models": False, "storage": None}
    )
    return stage_key([same], code=(), inputs=[repr(sorted(kept.items()))])


def _work_together(todo: Work, progress: Progress) -> None:
    """Let `tune.processes` others work, and tell how far they are."""
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=work_for, args=(todo.alone(), os.getpid()), name=f"tune-{number}")
        for number in range(todo.config.processes)
    ]
    study, total = todo.queue().study, todo.config.trials
    for other in others:
        other.start()
    progress.start("search", total=total, unit="trials")
    try:
        while any(other.is_alive() for other in others):
            time.sleep(_POLL_SECONDS)
            ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
            values = [trial.value for trial in ended if trial.value is not None]
            progress.update(len(ended), **({"best": f"{min(values):.4g}"} if values else {}))
    finally:
        for other in others:
            if other.is_alive():
                other.terminate()
        for other in others:
            other.join()
    progress.finish()
    codes = [other.exitcode or 0 for other in others]
    for stopped in (Interrupted, Preempted):
        if stopped.exit_code in codes:
            raise stopped("stopped between two steps; the same command goes on from there")
    wrong = next((code for code in codes if code), 0)
    if wrong:
        name = signal.Signals(-wrong).name if wrong < 0 else f"exit code {wrong}"
        raise ResourceError(f"a process of the search ended with {name}; the same command goes on from there")


def _take_best(life: Life, todo: Work, found: Findings) -> None:
    """The best trial's model, events and settings as those of the search."""
    best = trial_folder(todo.out, found.best.number)
    with atomic.atomic_folder(life.out / "model") as folder:
        shutil.copytree(best / "model", folder, dirs_exist_ok=True)
    for name in ("events.jsonl", "config.toml"):
        atomic.write_bytes(life.out / name, (best / name).read_bytes())
    atomic.write_text(todo.out / "best.toml", to_toml(found.recipe))
