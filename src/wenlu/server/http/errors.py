"""Errors as clients are told them, in the shape of the dialect that they speak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ANTHROPIC = "/v1/messages"
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    415: "invalid_request_error",
    421: "invalid_request_error",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
}


class ApiError(Exception):
    """A refusal or a failure: what is wrong, where, and what to try.

    Args:
        message: for the client; never a path, a secret or a traceback.
        param: the field of the client's own request.
        code: a word that programs read, as "context_length_exceeded".
        retry_after: seconds; None for what would fail again, which clients are then told not to try.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after = retry_after
        self._headers = dict(headers or {})

    @property
    def kind(self) -> str:
        return _KINDS.get(self.status, "api_error")

    @property
    def headers(self) -> dict[str, str]:
        """`Retry-After` in whole seconds as the standard has it, and in milliseconds, which the SDKs read first."""
        if self.retry_after is None:
            return {"x-should-retry": "false", **self._headers}
        seconds = max(0.0, self.retry_after)
        return {
            "retry-after": str(max(1, round(seconds))),
            "retry-after-ms": str(max(1, round(seconds * 1000))),
            "x-should-retry": "true",
            **self._headers,
        }

    def body(self, path: str) -> dict[str, Any]:
        """What the dialect of `path` says of it."""
        if path.startswith(ANTHROPIC):
            return {"type": "error", "error": {"type": self.kind, "message": self.message}}
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}
