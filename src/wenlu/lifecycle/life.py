"""A recipe on its way through the stages of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from wenlu.config import Duration, to_toml
from wenlu.corpus.prepare import DataSummary
from wenlu.corpus.statistics import STATISTICS
from wenlu.distributed import LOCAL, World
from wenlu.lifecycle.cache import StageCache
from wenlu.lifecycle.recipe import Recipe
from wenlu.progress import QUIET, Named, Progress
from wenlu.rundir import Follower, Run, atomic, is_run
from wenlu.tasks import MEMBERS


def member_root(run: Path, name: str) -> Path:
    """Where a run of several tasks has one's data, examples and evaluation: a run directory, but for the model."""
    return run / MEMBERS / name


@dataclass(frozen=True)
class Life:
    """A recipe, where it is carried out, and how far it is.

    Attributes:
        out: the run directory. root: where data/, tokenizer/ and tokens/ are; another run's for one of several
            architectures.
        origin: what `provenance` says of this process.
        keys: of the stages so far, for the cache.
        world: the processes that train; the first one alone writes.
    """

    recipe: Recipe
    out: Path
    root: Path
    run: Run
    cache: StageCache
    origin: Mapping[str, Any]
    progress: Progress
    keys: tuple[tuple[str, str], ...] = ()
    world: World = LOCAL

    @classmethod
    def begin(
        cls, recipe: Recipe, out: Path, origin: Mapping[str, Any], progress: Progress, world: World = LOCAL
    ) -> Self:
        """Take hold of the run directory `out`; an existing run stays as it is until a stage has work to do.

        Processes other than the first wait here until it calls `release`, and then find done what it did before.
        """
        if not world.is_first:
            world.wait()
            return cls(recipe, out, out, Follower(out), StageCache(out, writes=False), origin, QUIET, world=world)
        run = Run.open(out) if is_run(out) else Run.create(out, to_toml(recipe), origin)
        run.claim()
        return cls(recipe, out, out, run, StageCache(out), origin, progress, world=world)

    def release(self) -> None:
        """Let the other processes go on."""
        if self.world.is_first:
            self.world.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run.close()

    @contextmanager
    def of_member(self, name: str) -> Iterator[Self]:
        """The life of one of several tasks up to where they are trained together."""
        with Life.begin(
            self.recipe.of_member(name), member_root(self.out, name), self.origin, Named(name, self.progress)
        ) as one:
            yield replace(one, keys=self.keys)  # type: ignore[misc]

    def key(self, stage: str) -> str:
        return dict(self.keys)[stage]

    def with_key(self, stage: str, key: str) -> Self:
        return replace(self, keys=(*self.keys, (stage, key)))

    @contextmanager
    def working(self, stage: str, key: str) -> Iterator[None]:
        """Carry out a stage: the run says with which settings, from when on, and at the end that it is done."""
        with self.cache.running(stage, key):
            self.record()
            yield

    def record(self) -> None:
        """Write `config.toml` and `provenance.json` as they are now."""
        if not self.world.is_first:
            return
        atomic.write_text(self.out / "config.toml", to_toml(self.resolved()))
        origin = {**self.origin, "data": self._digests()}
        atomic.write_text(self.out / "provenance.json", json.dumps(origin, ensure_ascii=False, indent=2) + "\n")

    def resolved(self) -> Recipe:
        """The recipe with what training chose written out, once it chose."""
        facts = self.cache.facts("train") if "train" in dict(self.keys) else {}
        if "steps" not in facts:
            return self.recipe
        names = ("dtype", "threads", "device", "micro_batch_tokens", "global_batch_tokens")
        chosen: dict[str, Any] = {name: facts[name] for name in names if name in facts}
        train = self.recipe.train.model_copy(
            update={**chosen, "duration": Duration(facts["steps"], "steps"), "budget": None}
        )
        model = self.recipe.model.with_config(facts["model"])
        rate = {name: facts[name] for name in ("lr",) if name in facts}
        optimizer = self.recipe.optimizer.model_copy(update=rate)
        return self.recipe.model_copy(
            update={"train": train, "model": model, "optimizer": optimizer, "tokenizer": self.recipe.task_tokenizer}
        )

    def _digests(self) -> dict[str, str]:
        """Of what was read and of what was made from it."""
        members = {f"{MEMBERS}/{name}/": member_root(self.root, name) for name in self.recipe.members}
        return {
            name: digest
            for prefix, root in (members or {"": self.root}).items()
            for name, digest in _digests_of(root, prefix).items()
        }


def _digests_of(root: Path, prefix: str) -> dict[str, str]:
    data = root / "data"
    if not (data / STATISTICS).exists():
        return {}
    fetched: dict[str, str] = StageCache(root).facts("data").get("fetched", {})
    return fetched | {
        f"{prefix}data/{name}": f"sha256:{fact.sha256}" for name, fact in DataSummary.open(data).files.items()
    }
