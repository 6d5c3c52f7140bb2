"""One request at the engine, as the metrics see it."""

from __future__ import annotations

import asyncio
import time

from wenlu.server.http.errors import ApiError
from wenlu.server.http.metrics import Metrics
from wenlu.server.messages import Delta, Event, Started


class Turn:
    """Measures from arrival to the end; `model` is a label that is safe to show.

    Attributes:
        stage: "queue", then "prefill" once it has a place, then "decode" once its prompt was read.
        tokens: of prompt and answers so far.
    """

    def __init__(self, model: str, metrics: Metrics) -> None:
        self._metrics = metrics
        self._model = model
        self._next_token = metrics.next_token.labels(model)  # looked up once: it is counted with every token
        self._written = metrics.written_tokens.labels(model)
        self._begun = self._last = time.perf_counter()
        self._first = True
        self.stage = "queue"
        self.tokens = 0

    @property
    def has_begun(self) -> bool:
        return self.stage == "decode"

    def enters(self) -> None:
        """It has a place."""
        self.stage = "prefill"

    def hears(self, event: Event) -> None:
        if isinstance(event, Started):
            self.stage = "decode"
            self.reads(event.prompt_tokens)
        elif isinstance(event, Delta) and event.count:
            now = time.perf_counter()
            if self._first:
                self._metrics.first_token.labels(self._model).observe(now - self._begun)
                self._first = False
            else:
                self._next_token.observe(now - self._last)
            self._last = now
            self.tokens += event.count
            self._written.inc(event.count)

    def reads(self, tokens: int) -> None:
        self.tokens += tokens
        self._metrics.prompt_tokens.labels(self._model).inc(tokens)

    def ends(self) -> None:
        self._metrics.whole.labels(self._model).observe(time.perf_counter() - self._begun)

    def breaks(self, error: BaseException) -> None:
        """It was refused, or whoever asked is gone."""
        if isinstance(error, ApiError):
            self._metrics.rejected.labels(error.code or str(error.status)).inc()
        elif isinstance(error, asyncio.CancelledError | GeneratorExit):
            self._metrics.cancelled.labels(self.stage).inc()
