"""The tree of errors that users cause or meet; each knows its exit code.

    WenluError              1   something failed
    ├── UsageError          2   the command or its settings are wrong
    │   ├── ConfigError     2   a settings file or an override
    │   └── MissingExtra    2   an optional package is not installed
    ├── DataError           3   the user's data cannot be used as it is
    │   └── WeightsError    3   a checkpoint, tokenizer or model folder cannot
    ├── ResourceError       1   disk, memory, permission
    ├── ParityError         1   an artefact does not answer as its model does
    ├── Diverged            1   numbers of a training that are not finite
    ├── CheckFailed         1   a training that would not learn
    └── Preempted          75   stopped by SIGTERM; the run can be resumed
        └── Interrupted   130   stopped by Ctrl-C; the run can be resumed

A message says what is wrong, where, with the value, and what to try next.
Everything else (`AssertionError`, `TypeError`, …) is our own mistake and keeps its traceback.
"""

from __future__ import annotations

from functools import partial
from typing import Any


class WenluError(Exception):
    exit_code = 1


class UsageError(WenluError):
    exit_code = 2


class ConfigError(UsageError):
    pass


class MissingExtra(UsageError):
    """An optional package is needed: `raise MissingExtra("pypdf", extra="data", purpose="read PDF files")`."""

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(f"{package} is needed to {purpose}; install it with: pip install 'wenlu[{extra}]'")
        self._again = partial(MissingExtra, extra=extra, purpose=purpose), (package,)

    def __reduce__(self) -> tuple[Any, ...]:  # so that a worker process can hand it over
        return self._again


class DataError(WenluError):
    exit_code = 3


class WeightsError(DataError):
    pass


class ResourceError(WenluError):
    pass


class ParityError(WenluError):
    pass


class Diverged(WenluError):
    pass


class CheckFailed(WenluError):
    pass


class Preempted(WenluError):
    exit_code = 75


class Interrupted(Preempted):
    exit_code = 130
