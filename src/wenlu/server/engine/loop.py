"""The engine's process at work: hear, prepare, step every model once, tell."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from wenlu.server.engine.answering import Answering, go_on, writes
from wenlu.server.engine.asides import reply_to
from wenlu.server.engine.channel import Channel
from wenlu.server.engine.counts import stats_of
from wenlu.server.engine.embedding import Embedder
from wenlu.server.engine.explaining import explained, give_way
from wenlu.server.engine.forms import Forms
from wenlu.server.engine.preparing import Prepared, prepare
from wenlu.server.engine.problem import Problem
from wenlu.server.engine.residents import Resident, Residents
from wenlu.server.engine.served import Served
from wenlu.server.engine.writing import Writing
from wenlu.server.link.opening import Opening
from wenlu.server.messages import (
    Answer,
    Cancel,
    ChatPrompt,
    Done,
    Embed,
    Event,
    Explain,
    Generate,
    Reply,
    Request,
    Serving,
    Several,
)
from wenlu.server.settings import EngineConfig

_log = logging.getLogger("wenlu.server.engine")

STATS_SECONDS = 1.0
BESIDE_STREAMS, ALONE = 8, 64
"""Examples that are read between two steps, while texts are written and while none is."""
_WRITTEN_SHARE = 8
"""So many times fewer, where answers are written."""

Ready = Prepared | Embedder | Answering | Reply


@dataclass(eq=False)
class _Job:
    """A request that is being answered.

    Attributes:
        deadline: a clock's seconds. ready: being prepared in another thread; None while its model is loaded.
        work: what goes on with every step. is_stopped: for the other thread, that nobody waits for it any more.
    """

    asked: Request
    name: str
    resident: Resident
    deadline: float | None = None
    ready: Future[Ready] | None = None
    work: Writing | Embedder | Answering | None = None
    is_stopped: threading.Event = field(default_factory=threading.Event)


class Loop:
    """Requests of one socket, until it is closed."""

    def __init__(self, channel: Channel, residents: Residents, config: EngineConfig) -> None:
        self._channel = channel
        self._residents = residents
        self._forms = Forms(config.form_milliseconds)
        self._jobs: dict[int, _Job] = {}
        self._writers: dict[tuple[Resident, int], Writing] = {}
        self._events: list[Event] = []
        self._told: tuple[int, int] | None = None
        self._stats_at = 0.0
        self._template_seconds = 0.0
        # A form may take its whole time: who asks for none does not wait for it.
        self._threads = {with_form: ThreadPoolExecutor(1, "prepare") for with_form in (False, True)}
        self._explaining = ThreadPoolExecutor(1, "explain", initializer=give_way)

    def run(self) -> None:
        """Until whoever asks is gone: raises Closed; WenluError for models that cannot be served."""
        try:
            self._run()
        finally:
            for job in self._jobs.values():
                job.is_stopped.set()
            for thread in (*self._threads.values(), self._explaining):
                thread.shutdown(wait=False, cancel_futures=True)
            self._residents.close()
            self._forms.close()

    def _run(self) -> None:
        opening = self._threads[False].submit(lambda: [None for _ in self._residents.open()])
        opening.add_done_callback(lambda _: self._channel.wake())
        while True:
            for message in self._channel.wait(self._patience()):
                assert not isinstance(message, Opening), "said once"
                self._hear(message)
            if opening.done():
                opening.result()
                self._advance()
            self._tell(is_open=opening.done())

    def _patience(self) -> float:
        """How long nothing need be done."""
        now = time.monotonic()
        is_busy = any(job.work is not None for job in self._jobs.values())
        if is_busy and not self._channel.is_full:
            return 0.0
        times = [self._stats_at, *(job.deadline for job in self._jobs.values() if job.deadline is not None)]
        return min(times) - now

    def _hear(self, message: Request) -> None:
        if isinstance(message, Cancel):
            job = self._jobs.get(message.id)
            if job is not None:
                self._stop(job)
            return
        try:
            resident = self._residents.of(message.model)
            self._residents.want(resident)
        except Problem as problem:
            self._events.append(problem.failed(message.id))
            return
        job = _Job(message, message.model, resident)
        if isinstance(message, Generate | Explain) and message.deadline_seconds is not None:
            job.deadline = time.monotonic() + message.deadline_seconds
        self._jobs[message.id] = job
        resident.users += 1

    def _advance(self) -> None:
        for resident, error in self._residents.arrived():
            if error is not None:
                _log.error("%s cannot be loaded", resident.label, exc_info=error)
                for job in self._of(resident):
                    self._fail(job, Problem("engine", f"{job.name} cannot be loaded; the log of the server tells why"))
        for job in list(self._jobs.values()):
            self._prepare(job)
        self._end_late()
        if self._channel.is_full:
            return
        for resident in self._residents.all:
            if resident.loaded is not None and resident.loaded.engine is not None and resident.loaded.engine.busy:
                self._guarded(self._of(resident), lambda one=resident: self._step(one), resident)  # type: ignore[misc]
        self._slice()

    def _prepare(self, job: _Job) -> None:
        """Begin what must be done before a request can run, or take it up."""
        if job.work is not None or job.resident.loaded is None:
            return
        if job.ready is None:
            served = job.resident.loaded.models[job.name]
            is_explained = isinstance(job.asked, Explain)
            thread = self._explaining if is_explained else self._threads[_has_form(job.asked)]
            job.ready = thread.submit(self._made, job, served, job.resident.loaded.most_tokens)
            job.ready.add_done_callback(lambda _: self._channel.wake())
        elif job.ready.done():
            self._guarded([job], lambda: self._begin(job))

    def _made(self, job: _Job, served: Served, most_tokens: int | None) -> Ready:
        asked = job.asked
        match asked:
            case Explain():
                return explained(asked, served, job.is_stopped)
            case Generate():
                return prepare(asked, served, most_tokens, self._forms)
            case Embed():
                return Embedder(asked, served)
            case Answer():
                return Answering(asked, served)
            case Cancel():
                raise AssertionError("a cancelled request is not prepared")
        return reply_to(asked, served)

    def _begin(self, job: _Job) -> None:
        assert job.ready is not None
        ready = job.ready.result()
        match ready:
            case Prepared():
                assert job.resident.loaded is not None
                engine = job.resident.loaded.engine
                assert engine is not None, f"{job.name} writes"
                if isinstance(ready.asked.prompt, ChatPrompt):
                    self._template_seconds += ready.encode_seconds
                job.work = Writing(ready, engine)
                self._writers |= {(job.resident, id): job.work for id in job.work.engine_ids}
            case Embedder() | Answering():
                job.work = ready
            case _:
                self._say(job, [ready])

    def _step(self, resident: Resident) -> None:
        assert resident.loaded is not None
        assert resident.loaded.engine is not None
        for emission in resident.loaded.engine.step():
            writing = self._writers.get((resident, emission.id))
            if writing is not None and writing.id in self._jobs:
                self._say(self._jobs[writing.id], writing.take(emission))

    def _slice(self) -> None:
        """The next examples of one model that is asked for vectors or answers, and of all who ask it."""
        jobs = [job for job in self._jobs.values() if isinstance(job.work, Embedder | Answering)]
        if not jobs:
            return
        most = BESIDE_STREAMS if self._writers else ALONE
        work = jobs[0].work
        if isinstance(work, Embedder):
            self._guarded(jobs[:1], lambda: self._embed(jobs[0], work, most))
            if jobs[0].asked.id in self._jobs:  # the next one's turn
                self._jobs[jobs[0].asked.id] = self._jobs.pop(jobs[0].asked.id)
            return
        together = [job for job in jobs if isinstance(job.work, Answering) and job.name == jobs[0].name]
        self._guarded(together, lambda: self._answer(together, most))
        for job in together:
            if job.asked.id in self._jobs:
                self._jobs[job.asked.id] = self._jobs.pop(job.asked.id)

    def _embed(self, job: _Job, work: Embedder, most: int) -> None:
        reply = work.go_on(most)
        if reply is not None:
            self._say(job, [reply])

    def _answer(self, together: list[_Job], most: int) -> None:
        works = [job.work for job in together if isinstance(job.work, Answering)]
        go_on(works, max(1, most // _WRITTEN_SHARE) if writes(works[0].served) else most)
        for job, work in zip(together, works, strict=True):
            if (reply := work.reply) is not None:
                self._say(job, [reply])

    def _end_late(self) -> None:
        now = time.monotonic()
        for job in list(self._jobs.values()):
            if job.deadline is None or now < job.deadline:
                continue
            if isinstance(job.work, Writing):
                self._say(job, job.work.end())
            else:
                self._fail(job, Problem("deadline", _late(job.asked)))

    def _guarded(self, jobs: list[_Job], work: Callable[[], None], resident: Resident | None = None) -> None:
        """Do something for requests; what it raises is their end, and of an error of ours the end of the model too."""
        try:
            work()
        except Problem as problem:
            for job in jobs:
                self._fail(job, problem)
        except Exception as error:  # noqa: BLE001  (whatever it is, the other requests go on)
            _log.exception("requests to %s failed", ", ".join(sorted({job.name for job in jobs})))
            for job in jobs:
                self._fail(job, Problem.of(error))
            if resident is not None:  # in the middle of a step, so nothing is certain of its memory
                self._residents.drop(resident)

    def _say(self, job: _Job, events: Iterable[Event]) -> None:
        for event in events:
            self._events.append(event)
            if isinstance(event, Done | Reply):
                self._forget(job)

    def _fail(self, job: _Job, problem: Problem) -> None:
        if job.asked.id in self._jobs:
            self._stop(job)
            self._say(job, [problem.failed(job.asked.id)])

    def _stop(self, job: _Job) -> None:
        job.is_stopped.set()
        if job.ready is not None:
            job.ready.cancel()
        if isinstance(job.work, Writing):
            job.work.cancel()
        self._forget(job)

    def _forget(self, job: _Job) -> None:
        if self._jobs.pop(job.asked.id, None) is None:
            return
        job.resident.users -= 1
        if isinstance(job.work, Writing):
            for id in job.work.engine_ids:
                self._writers.pop((job.resident, id), None)

    def _of(self, resident: Resident) -> list[_Job]:
        return [job for job in self._jobs.values() if job.resident is resident]

    def _tell(self, *, is_open: bool) -> None:
        """All that there is to say, in one frame."""
        if self._events:
            self._channel.send(Several(events=tuple(self._events)))
            self._events = []
        now = time.monotonic()
        changes = self._residents.loads, self._residents.drops
        if is_open and changes != self._told:
            self._told = changes
            self._channel.send(Serving(models=self._residents.infos))
        if now >= self._stats_at:
            self._stats_at = now + STATS_SECONDS
            self._channel.send(stats_of(self._residents, self._forms.seconds, self._template_seconds, self._waiting))

    @property
    def _waiting(self) -> int:
        """Requests that have not come to their engine yet."""
        return sum(isinstance(job.asked, Generate) and job.work is None for job in self._jobs.values())


def _late(asked: Request) -> str:
    if not isinstance(asked, Explain):
        return "the model was not ready in time; ask again"
    return (
        f"no explanation within {asked.deadline_seconds:g} seconds; give a shorter text, fewer orders or samples, "
        "method=occlusion or input-x-gradient, or raise limits.explain_seconds"
    )


def _has_form(asked: Request) -> bool:
    return isinstance(asked, Generate) and (
        asked.form is not None
        or (isinstance(asked.prompt, ChatPrompt) and bool(asked.prompt.tools or asked.prompt.pictures))
    )
