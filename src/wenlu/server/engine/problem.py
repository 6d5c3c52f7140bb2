"""Why a request cannot be answered."""

from __future__ import annotations

from wenlu.errors import DataError, UsageError, WenluError
from wenlu.server.messages import Failed, Fault


class Problem(Exception):
    """What `Failed` tells, before it has a number."""

    def __init__(
        self,
        fault: Fault,
        message: str,
        *,
        param: str | None = None,
        context: int | None = None,
        asked: int | None = None,
    ) -> None:
        super().__init__(message)
        self.fault: Fault = fault
        self.message = message
        self.param = param
        self.context = context
        self.asked = asked

    @classmethod
    def of(cls, error: Exception, *, param: str | None = None) -> Problem:
        """What whoever asked may be told of an error: all of what is his mistake, nothing of what is ours."""
        match error:
            case Problem():
                return error
            case UsageError() | DataError():
                return cls("request", str(error), param=param)
            case WenluError():
                return cls("engine", str(error))
        return cls("engine", "the engine met an error of its own, which its log tells")

    def failed(self, id: int) -> Failed:
        return Failed(
            id=id,
            fault=self.fault,
            message=self.message,
            param=self.param,
            context=self.context,
            asked=self.asked,
        )


def too_long(context: int, asked: int, *, what: str = "prompt") -> Problem:
    return Problem(
        "context",
        f"the {what} has {asked:,} tokens, and the model's context of {context:,} must hold it and an answer; "
        f"shorten the {what}",
        context=context,
        asked=asked,
    )
