"""How much one key may ask: at a time, in a minute, and in tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from wenlu.server.http.errors import ApiError
from wenlu.server.settings import Limits


@dataclass
class _Bucket:
    """Fills with what a minute allows, and holds no more than that."""

    size: int
    level: float
    at: float

    def fill(self, now: float) -> None:
        self.level = min(float(self.size), self.level + (now - self.at) * self.size / 60)
        self.at = now

    def seconds_to(self, level: float) -> float:
        return max(0.0, (level - self.level) * 60 / self.size)


class _Account:
    def __init__(self, limits: Limits, now: float) -> None:
        self.running = 0
        self.requests = _Bucket(limits.per_minute, limits.per_minute, now)
        size = limits.tokens_per_minute
        self.tokens = _Bucket(size, size, now) if size else None


class Rates:
    """Counts by key; who needs none is not counted. Tokens are paid once they were read or written, so that a key may
    overdraw with its last request, and then waits the longer."""

    def __init__(self, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._accounts: dict[str, _Account] = {}

    @contextmanager
    def counted(self, key: str) -> Iterator[dict[str, str]]:
        """Counts a request of a key while it runs, and yields the headers that tell what is left.

        Raises ApiError (429), with the same headers, where it may not be asked now.
        """
        if not key:
            yield {}
            return
        account = self._account(key)
        headers = self._headers(account)
        if account.running >= self._limits.concurrent:
            message = f"{account.running} requests of this key run, and no more may at a time"
            raise ApiError(429, message, code="too_many_at_once", retry_after=1.0, headers=headers)
        if account.requests.level < 1:
            message = f"this key has asked {self._limits.per_minute} times within a minute"
            wait = account.requests.seconds_to(1)
            raise ApiError(429, message, code="rate_limit_exceeded", retry_after=wait, headers=headers)
        if account.tokens is not None and account.tokens.level <= 0:
            message = f"this key has used {self._limits.tokens_per_minute} tokens within a minute"
            wait = account.tokens.seconds_to(1)
            raise ApiError(429, message, code="rate_limit_exceeded", retry_after=wait, headers=headers)
        account.running += 1
        account.requests.level -= 1
        try:
            yield self._headers(account)
        finally:
            account.running -= 1

    def pay(self, key: str, tokens: int) -> None:
        """Tokens that were read or written for a key."""
        if key and (bucket := self._account(key).tokens) is not None:
            bucket.level -= tokens

    def _account(self, key: str) -> _Account:
        now = self._clock()
        account = self._accounts.setdefault(key, _Account(self._limits, now))
        account.requests.fill(now)
        if account.tokens is not None:
            account.tokens.fill(now)
        return account

    def _headers(self, account: _Account) -> dict[str, str]:
        told = {"requests": account.requests} | ({} if account.tokens is None else {"tokens": account.tokens})
        headers = {}
        for name, bucket in told.items():
            headers[f"x-ratelimit-limit-{name}"] = str(bucket.size)
            headers[f"x-ratelimit-remaining-{name}"] = str(max(0, int(bucket.level)))
            headers[f"x-ratelimit-reset-{name}"] = f"{bucket.seconds_to(bucket.size):.3f}s"
        return headers
