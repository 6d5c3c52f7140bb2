"""One `Embed` while it is answered, a few texts at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wenlu.bundle import Bundle
from wenlu.errors import WenluError
from wenlu.server.engine.problem import Problem, too_long
from wenlu.server.engine.prompts import checked
from wenlu.server.engine.served import Served
from wenlu.server.messages import Embed, Vectors
from wenlu.tasks import Embedding

_LONGEST = 8192
"""Tokens of a text, to a model that nothing bounds."""


class Embedder:
    """Raises Problem for what cannot be embedded: nothing of it is then."""

    def __init__(self, asked: Embed, served: Served) -> None:
        bundle = served.bundle
        if not isinstance(bundle, Bundle) or not isinstance(bundle.task, Embedding):
            does = ", ".join(served.info.abilities)
            raise Problem("request", f"{served.name} makes no vectors; it can be asked to {does}")
        if not asked.inputs:
            raise Problem("request", "there is no text to make a vector of", param="inputs")
        size = served.info.dimensions or 0
        if asked.dimensions is not None and not 0 < asked.dimensions <= size:
            raise Problem("request", f"{asked.dimensions} dimensions of a vector that has {size}", param="dimensions")
        self.served = served
        self._asked = asked
        self._bundle, self._task = bundle, bundle.task
        self._context = bundle.config.context or _LONGEST
        room = bundle.task.layout.room(self._context, pair=False)
        self._rows = [self._encoded(text, place) for place, text in enumerate(asked.inputs)]
        for place, row in enumerate(self._rows):
            if len(row) > room:
                raise too_long(self._context, len(row), what=f"text {place}")
        self._tokens = sum(map(len, self._rows)) + len(self._rows) * (self._context - room)
        self._found: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []

    def go_on(self, most: int) -> Vectors | None:
        """Read `most` texts more; all vectors once all are read."""
        rows: Sequence[Sequence[int]] = self._rows[len(self._found) : len(self._found) + most]
        found = self._task.embed(self._bundle.model, rows, self._asked.dimensions, context=self._context)
        self._found += list(found.astype("<f4"))
        if len(self._found) < len(self._rows):
            return None
        vectors = np.stack(self._found)
        return Vectors(id=self._asked.id, data=vectors.tobytes(), dimensions=vectors.shape[1], tokens=self._tokens)

    def _encoded(self, text: str | tuple[int, ...], place: int) -> list[int]:
        if isinstance(text, tuple):
            return checked(self._bundle, text, param=f"inputs.{place}")
        try:
            return self._bundle.tokenizer.encode(text)
        except WenluError as error:
            raise Problem.of(error, param=f"inputs.{place}") from error
