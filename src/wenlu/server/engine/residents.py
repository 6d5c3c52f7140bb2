"""Models by name within a budget of memory: loaded when they are asked for, dropped when another needs the room."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from msgspec.structs import replace as with_changes

from wenlu.errors import UsageError
from wenlu.generation.stats import EngineStats
from wenlu.server.engine.loading import Loaded, grouped, load_group, unknown, weights_bytes
from wenlu.server.engine.problem import Problem
from wenlu.server.messages import ModelInfo
from wenlu.server.settings import EngineConfig

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})*")


@dataclass(eq=False)
class Resident:
    """Models that share weights.

    Attributes:
        group: name and path of each. infos: of the models, known since they were loaded for the first time.
        loaded: None while they are not in memory. loading: until they are.
        nbytes: what they take. used: when one was asked last, a clock's seconds. users: requests in work.
    """

    group: tuple[tuple[str, str], ...]
    infos: tuple[ModelInfo, ...] = ()
    loaded: Loaded | None = None
    loading: Future[Loaded] | None = None
    nbytes: int = 0
    used: float = field(default_factory=time.monotonic)
    users: int = 0

    @property
    def label(self) -> str:
        return self.group[0][0]


class Residents:
    """All that are served.

    Args:
        budget: bytes for all that are in memory at a time.
        wake: called from another thread when one has been loaded.
    """

    def __init__(
        self, models: Sequence[tuple[str, str]], config: EngineConfig, budget: int, wake: Callable[[], None]
    ) -> None:
        self.all: list[Resident] = []
        self.loads = 0
        self.drops = 0
        self.past: list[EngineStats] = []
        self._models = tuple(models)
        self._config = config
        self._budget = budget
        self._wake = wake
        self._thread = ThreadPoolExecutor(1, "load")
        _check_names([name for name, _ in models])

    def open(self) -> Iterator[None]:
        """Load each once, so that it is known what it can do; one keeps its place where there is room for it.

        To be gone through to its end, in a thread that may wait; raises WenluError.
        """
        for group in grouped(self._models):
            resident = Resident(group)
            if self._taken + weights_bytes(group[0][1]) > self._budget:  # never more in memory than there may be
                for one in self.all:
                    self.drop(one)
            loaded = load_group(group, self._config, self._budget)
            self._enter(resident, loaded)
            self.all.append(resident)
            if not self._config.preload or self._taken > self._budget:
                self._drop(resident)
            yield

    @property
    def infos(self) -> tuple[ModelInfo, ...]:
        """Of all models, as it is now."""
        return tuple(
            with_changes(info, loaded=resident.loaded is not None) for resident in self.all for info in resident.infos
        )

    def of(self, name: str) -> Resident:
        """Raises Problem."""
        for resident in self.all:
            if any(info.name == name for info in resident.infos):
                resident.used = time.monotonic()
                return resident
        raise Problem("model", unknown(name, [info.name for info in self.infos]))

    def want(self, resident: Resident) -> None:
        """See that it is loaded, or will be; raises Problem where there is no room for it now."""
        if resident.loaded is not None or resident.loading is not None:
            return
        self._make_room(resident)
        resident.loading = self._thread.submit(load_group, resident.group, self._config, self._budget)
        resident.loading.add_done_callback(lambda _: self._wake())

    def arrived(self) -> Iterator[tuple[Resident, Exception | None]]:
        """Those that have been loaded since it was asked last, or why not."""
        for resident in self.all:
            if resident.loading is not None and resident.loading.done():
                future, resident.loading = resident.loading, None
                error = future.exception()
                if error is None:
                    self._enter(resident, future.result())
                elif not isinstance(error, Exception):
                    raise error
                yield resident, error

    def drop(self, resident: Resident) -> None:
        """Forget the models of one that nobody asks any more."""
        if resident.loaded is not None:
            self._drop(resident)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def _taken(self) -> int:
        return sum(one.nbytes for one in self.all if one.loaded is not None or one.loading is not None)

    def _make_room(self, wanted: Resident) -> None:
        waits = 60 * self._config.idle_minutes
        idle = [one for one in self.all if one.loaded is not None and not one.users]
        idle.sort(key=lambda one: one.used)
        now = time.monotonic()
        candidates = [one for one in idle if now - one.used >= waits]
        while self._taken + wanted.nbytes > self._budget:
            if not candidates:
                soonest = min((waits - (now - one.used) for one in idle), default=None)
                again = "when they are done" if soonest is None else f"in {max(1, round(soonest))} s"
                raise Problem(
                    "busy",
                    f"there is no memory for {wanted.label} beside the models that are in use; ask again {again}, or "
                    "raise engine.memory_gigabytes",
                )
            self._drop(candidates.pop(0))

    def _enter(self, resident: Resident, loaded: Loaded) -> None:
        resident.loaded, resident.nbytes = loaded, loaded.nbytes
        resident.infos = tuple(one.info for one in loaded.models.values())
        self.loads += 1

    def _drop(self, resident: Resident) -> None:
        loaded, resident.loaded = resident.loaded, None
        if loaded is not None and loaded.engine is not None:
            self.past.append(loaded.engine.stats())
        self.drops += 1


def _check_names(names: Sequence[str]) -> None:
    for place, name in enumerate(names):
        if not NAME.fullmatch(name):
            raise UsageError(
                f"{name!r}: is no name of a model; it has letters, digits, dots, dashes and underlines, begins with a "
                "letter or digit, and may have parts with / between; give it one: NAME=MODEL"
            )
        if name in names[:place]:
            raise UsageError(f"{name}: two models have this name; give one of them another: NAME=MODEL")
