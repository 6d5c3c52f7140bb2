"""The keys of a running server: a key's hash is worked out once, and a revoked one opens nothing a second later."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import Engine

from wenlu.server.store.keys import PREFIX, SCOPES, Key, check_key, find_key, has_keys, mark_used

FRESH_SECONDS = 0.5
"""For which the store is not asked again about a key."""
_USED_SECONDS = 60.0
_LONGEST = 512
ENVIRONMENT = "environment"
"""The id of the key in WENLU_API_KEY, which may do everything."""


@dataclass
class _Checked:
    key: Key
    at: float
    marked: float = 0.0


class Ring:
    """Who a secret belongs to.

    Args:
        environment: a key that is in no store, of whoever started the server.
    """

    def __init__(self, store: Engine, owner: str, environment: str | None = None) -> None:
        self._store = store
        self._owner = owner
        self._pepper = secrets.token_bytes(32)
        self._environment = None if environment is None else self._digest(environment)
        self._checked: dict[bytes, _Checked] = {}
        self._needed_at = 0.0
        self._needed = environment is not None or has_keys(store, owner)

    async def is_needed(self) -> bool:
        """Whether a key is: there is one, or once was."""
        now = time.monotonic()
        if not self._needed and now - self._needed_at > FRESH_SECONDS:
            self._needed_at = now
            self._needed = await asyncio.to_thread(has_keys, self._store, self._owner)
        return self._needed

    async def find(self, secret: str) -> tuple[str, frozenset[str]] | None:
        """The id and the scopes of a key; None of what is none, or no longer."""
        digest = self._digest(secret)
        if self._environment is not None and hmac.compare_digest(digest, self._environment):
            return ENVIRONMENT, frozenset(SCOPES)
        if not secret.startswith(PREFIX) or len(secret) > _LONGEST:
            return None
        known, now = self._checked.get(digest), time.monotonic()
        if known is None:
            key = await asyncio.to_thread(check_key, self._store, self._owner, secret)
        elif now - known.at > FRESH_SECONDS:
            key = await asyncio.to_thread(find_key, self._store, self._owner, known.key.id)
        else:
            return known.key.id, frozenset(known.key.scopes)
        if key is None:
            self._checked.pop(digest, None)
            return None
        kept = self._checked.setdefault(digest, _Checked(key, now))
        kept.key, kept.at = key, now
        if now - kept.marked > _USED_SECONDS or not kept.marked:
            kept.marked = now
            await asyncio.to_thread(mark_used, self._store, self._owner, key.id)
        return key.id, frozenset(key.scopes)

    def _digest(self, secret: str) -> bytes:
        return hashlib.blake2b(secret.encode("utf-8", "surrogatepass"), key=self._pepper).digest()
