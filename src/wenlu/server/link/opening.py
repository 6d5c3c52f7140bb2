"""What is said once, before any request: what to serve, and that it cannot be."""

from __future__ import annotations

from msgspec import Struct

from wenlu.errors import ConfigError, DataError, ResourceError, UsageError, WeightsError, WenluError
from wenlu.server.messages import Said

_ERRORS: tuple[type[WenluError], ...] = (ConfigError, UsageError, WeightsError, DataError, ResourceError, WenluError)
"""Those that a model which cannot be served may raise, the narrower ones first."""


class Opening(Struct, frozen=True, tag=True):
    """The first message to the engine.

    Attributes:
        models: the name of each, and what `wenlu.load` takes. config: an `EngineConfig` as JSON.
    """

    models: tuple[tuple[str, str], ...]
    config: str


class Refused(Struct, frozen=True, tag=True):
    """The engine ends, since something cannot be served."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: WenluError) -> Refused:
        return cls(next(kind.__name__ for kind in _ERRORS if isinstance(error, kind)), str(error))

    def error(self) -> WenluError:
        """As it was raised."""
        return next((kind for kind in _ERRORS if kind.__name__ == self.kind), WenluError)(self.message)


Heard = Said | Refused
"""What the engine's process may say."""
