"""The engine as a process of its own, watched and started again where it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from itertools import count

from wenlu.errors import WenluError
from wenlu.server.link.engine import EngineGone
from wenlu.server.link.frames import BrokenFrame
from wenlu.server.link.opening import Heard, Opening, Refused
from wenlu.server.link.process import Process
from wenlu.server.messages import (
    Asking,
    Cancel,
    Done,
    Event,
    Failed,
    Generate,
    ModelInfo,
    Reply,
    Serving,
    Several,
    Stats,
)
from wenlu.server.settings import EngineConfig

_log = logging.getLogger("wenlu.server")

LONGEST_PAUSE = 60.0
STEADY_SECONDS = 10.0
"""Of life, after which a process that ends is started again as soon as the first."""
SILENT_SECONDS = 60.0
START_SECONDS = 600.0
"""Until a process says its first word: it reads the libraries, which a busy machine takes long for."""
_LOOK_SECONDS = 1.0


class EngineProcess:
    """An `EngineLink` to a process of this machine.

    Args:
        models: the name of each, and what `wenlu.load` takes.
        silent_seconds: one that has work, or loads its models, and says nothing for so long is ended and started again.
    """

    def __init__(
        self, models: Sequence[tuple[str, str]], config: EngineConfig, *, silent_seconds: float = SILENT_SECONDS
    ) -> None:
        self._opening = Opening(tuple(models), config.model_dump_json())
        self._config = config
        self._silent_seconds = silent_seconds
        self._ids = count(1)
        self._open: dict[int, asyncio.Queue[Event | None]] = {}
        self._process: Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._begun: asyncio.Future[None] | None = None
        self._heard_at = time.monotonic()
        self._has_spoken = False
        self._models: tuple[ModelInfo, ...] = ()
        self._is_ready = False
        self._stats: Stats | None = None
        self._restarts = 0

    @property
    def is_ready(self) -> bool:
        return self._is_ready

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        return self._models

    @property
    def stats(self) -> Stats | None:
        return self._stats

    @property
    def restarts(self) -> int:
        return self._restarts

    @property
    def pid(self) -> int | None:
        """Of the process; None between two of them."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        assert self._watching is None, "started once"
        self._begun = asyncio.get_running_loop().create_future()
        self._watching = asyncio.create_task(self._watch(self._begun))
        try:
            await self._begun
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching

    def next_id(self) -> int:
        return next(self._ids)

    async def generate(self, request: Generate) -> AsyncGenerator[Event, None]:
        events = self._ask(request)
        ended = False
        try:
            while not ended:
                event = await events.get()
                if event is None:
                    raise EngineGone("the engine broke while it answered; it starts again")
                ended = isinstance(event, Done | Failed)
                yield event
        finally:
            self._forget(request.id, cancels=not ended)

    async def ask(self, request: Asking) -> Reply:
        events = self._ask(request)
        reply: Event | None = None
        try:
            reply = await events.get()
        finally:
            self._forget(request.id, cancels=reply is None)
        if reply is None:
            raise EngineGone("the engine broke while it answered; it starts again")
        assert isinstance(reply, Reply), f"{type(reply).__name__} answers no {type(request).__name__}"
        return reply

    def _ask(self, request: Generate | Asking) -> asyncio.Queue[Event | None]:
        if self._process is None or not self._is_ready:
            raise EngineGone("the engine starts; ask again in some seconds")
        assert request.id not in self._open, f"request {request.id} is being answered"
        if not self._open:  # it was idle, and had nothing to say
            self._heard_at = time.monotonic()
        self._process.send(request)
        events = self._open[request.id] = asyncio.Queue()
        return events

    def _forget(self, id: int, *, cancels: bool) -> None:
        known = self._open.pop(id, None)
        if known is not None and cancels and self._process is not None:
            self._process.send(Cancel(id=id))

    async def _watch(self, begun: asyncio.Future[None]) -> None:
        """Processes one after the other, until this task is cancelled."""
        pause = self._config.restart_seconds
        while True:
            since = time.monotonic()
            refused = await self._live(begun)
            if not begun.done():
                begun.set_exception(refused or WenluError("the engine's process ended before it was ready; see above"))
                return
            self._restarts += 1
            if time.monotonic() - since > STEADY_SECONDS:
                pause = self._config.restart_seconds
            _log.error(
                "the engine's process ended%s; it starts again in %g s", f": {refused}" if refused else "", pause
            )
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)

    async def _live(self, begun: asyncio.Future[None]) -> WenluError | None:
        """One process from its start to its end; what it refused to serve, where that is why it ended."""
        process = self._process = await Process.begin(self._opening)
        self._heard_at, self._has_spoken = time.monotonic(), False
        looking = asyncio.create_task(self._look(process))
        try:
            async for message in process.heard():
                self._heard_at, self._has_spoken = time.monotonic(), True
                if isinstance(message, Refused):
                    return message.error()
                self._take(message)
                if self._is_ready and not begun.done():
                    begun.set_result(None)
            return None
        except BrokenFrame as error:
            _log.error("the engine's process does not speak as it should: %s", error)
            return None
        finally:
            self._is_ready = False
            self._process = None
            looking.cancel()
            for events in self._open.values():
                events.put_nowait(None)
            self._open.clear()
            await asyncio.shield(process.end())

    async def _look(self, process: Process) -> None:
        """Kill a process that hangs."""
        while True:
            await asyncio.sleep(min(_LOOK_SECONDS, self._silent_seconds / 4))
            silent = time.monotonic() - self._heard_at
            most = self._silent_seconds if self._has_spoken else START_SECONDS
            if silent > most and (self._open or not self._is_ready):
                _log.error("the engine's process has said nothing for %.0f s and is ended", silent)
                process.kill()
                return

    def _take(self, message: Heard) -> None:
        match message:
            case Several(events=events):
                for event in events:
                    queue = self._open.get(event.id)
                    if queue is not None:  # else it was cancelled
                        queue.put_nowait(event)
            case Serving(models=models):
                self._models = models
                self._is_ready = True
            case Stats():
                self._stats = message
