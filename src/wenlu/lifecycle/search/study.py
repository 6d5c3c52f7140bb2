"""The study in which a search remembers its trials, and how their settings are chosen.

What a trial gets is a function of the seed, of its number and of the trials that ended before it: no sampler is carried
from one trial to the next, so a search that was killed goes on as if it had not been.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wenlu.errors import MissingExtra, UsageError
from wenlu.lifecycle.search.settings import TuneConfig
from wenlu.lifecycle.search.space import suggested

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage, RDBStorage
    from optuna.trial import FrozenTrial, Trial

FILE = "study.db"
_NAME = "wenlu"
"""Hyperband deals trials to its brackets by the study's name and their number, so the name is always the same."""
_SETTINGS = "settings"
_STARTUP = 5
"""Trials that are drawn before TPE looks at any, and that are run to their end before any is cut short."""


def open_study(out: Path, config: TuneConfig, fingerprint: str, validations: int) -> Study:
    """The study of the search in `out`; raises UsageError where it is of other settings, MissingExtra."""
    for package in ("optuna", *(["cmaes"] if config.sampler == "cma-es" else [])):
        if find_spec(package) is None:
            raise MissingExtra(package, extra="tune", purpose="search for settings")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        storage = optuna.storages.RDBStorage(config.storage or f"sqlite:///{(out / FILE).resolve()}")
    except ImportError as error:  # of SQLAlchemy, which names the driver
        raise UsageError(f"tune.storage={config.storage!r}: {error}; install the driver of that database") from error
    if config.storage is None:
        _without_waiting(storage)
    study = study_in(storage, config, validations, name=_study_name(out, config))
    known = study.user_attrs.get(_SETTINGS)
    if known is None:
        study.set_user_attr(_SETTINGS, fingerprint)
    elif known != fingerprint:
        raise UsageError(
            f"{out}: holds a search of other settings (of the recipe, or of tune.space, metric, sampler, pruner or "
            "reduction); choose another folder with --out. More tune.trials go on with this one"
        )
    return study


def study_in(storage: BaseStorage, config: TuneConfig, validations: int, *, name: str = _NAME) -> Study:
    """The study of that name, made where it is not there."""
    import optuna

    return optuna.create_study(
        storage=storage, study_name=name, pruner=_pruner(config, validations), load_if_exists=True
    )


def _study_name(out: Path, config: TuneConfig) -> str:
    """In a database that others share, searches are told apart by their folder."""
    return _NAME if config.storage is None else f"{_NAME} {out.resolve()}"


def _without_waiting(storage: RDBStorage) -> None:
    """Do not wait for the disk at each of the many small writes: a power cut may cost the last ones, never the rest."""
    import sqlalchemy

    @sqlalchemy.event.listens_for(storage.engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    storage.engine.dispose()


def new_trial(study: Study, config: TuneConfig, seed: int) -> Trial:
    """The next trial, with its settings chosen."""
    number = len(study.get_trials(deepcopy=False))
    study.sampler = _sampler(config, seeded(seed, number))
    trial = study.ask()
    choose(study, trial, config, seed)
    return trial


def taken_up(study: Study, frozen: FrozenTrial, config: TuneConfig, seed: int) -> Trial:
    """A trial that began before, with the settings chosen that a killed process may not have come to."""
    from optuna.trial import Trial

    study.sampler = _sampler(config, seeded(seed, frozen.number))
    trial = Trial(study, frozen._trial_id)
    choose(study, trial, config, seed)
    return trial


def choose(study: Study, trial: Trial, config: TuneConfig, seed: int) -> None:
    """Let the sampler choose each setting; what one gets does not depend on whether those before it were there."""
    _ = trial.relative_params  # of all together, where the sampler does so
    for place, (key, searched) in enumerate(config.space.items()):
        study.sampler = _sampler(config, seeded(seed, trial.number, place))
        suggested(trial, key, searched)


def seeded(*places: int) -> int:
    """A seed for a place in a search."""
    return int(np.random.SeedSequence(places).generate_state(1)[0])


def _sampler(config: TuneConfig, seed: int) -> BaseSampler:
    from optuna.samplers import CmaEsSampler, RandomSampler, TPESampler

    match config.sampler:
        case "random":
            return RandomSampler(seed=seed)
        case "tpe":
            return TPESampler(seed=seed, n_startup_trials=_STARTUP)
        case "cma-es":
            return CmaEsSampler(seed=seed, warn_independent_sampling=False)


def _pruner(config: TuneConfig, validations: int) -> BasePruner:
    from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner

    match config.pruner:
        case "median":
            return MedianPruner(n_startup_trials=_STARTUP)
        case "hyperband":
            return HyperbandPruner(1, validations, config.reduction)
        case "asha" | "none":  # trials of ASHA pause, see `asha`
            return NopPruner()
