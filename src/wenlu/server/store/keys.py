"""Keys of the server: made, listed, revoked, checked."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import time
from collections.abc import Collection
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from wenlu.config import did_you_mean
from wenlu.errors import UsageError
from wenlu.server.store import audit
from wenlu.server.store.tables import KeyRow

PREFIX = "wk-"
SCOPES = ("infer", "admin")
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_LENGTH = 43
"""Digits of 32 random bytes in base 62."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,95}")
_HASHER = PasswordHasher()


@dataclass(frozen=True)
class Key:
    """A key as it may be shown. Times are in seconds since 1970."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created: float
    used: float | None
    revoked: float | None


def key_id(secret: str) -> str:
    """The id of a key: 64 bits of its hash, of which 256 random ones cannot be told."""
    return "key-" + hashlib.blake2b(secret.encode(), digest_size=8).hexdigest()


def make_key(store: Engine, owner: str, name: str, scopes: Collection[str]) -> tuple[Key, str]:
    """A new key, and the secret that is nowhere kept; raises UsageError for a wrong name or scope."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"name {name[:100]!r}: up to 96 letters, digits, spaces, dots and dashes name a key")
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise UsageError(f"scope {', '.join(unknown) or 'missing'}: {did_you_mean(''.join(unknown[:1]), SCOPES)}")
    secret = PREFIX + _base62(int.from_bytes(secrets.token_bytes(32)))
    row = KeyRow(
        id=key_id(secret),
        owner=owner,
        name=name,
        hash=_HASHER.hash(secret),
        scopes=" ".join(scope for scope in SCOPES if scope in scopes),
        created=time.time(),
    )
    with Session(store) as session, session.begin():
        session.add(row)
        audit.add(session, owner, actor="command line", action="key made", subject=f"{row.id} {name}")
        session.flush()
        return _shown(row), secret


def list_keys(store: Engine, owner: str) -> list[Key]:
    """All keys of an owner, also revoked ones, the oldest first."""
    with Session(store) as session:
        rows = session.scalars(select(KeyRow).where(KeyRow.owner == owner).order_by(KeyRow.created))
        return [_shown(row) for row in rows]


def has_keys(store: Engine, owner: str) -> bool:
    """Whether an owner ever made a key; revoking the last one must not open the server to everybody."""
    with Session(store) as session:
        return bool(session.scalar(select(func.count()).select_from(KeyRow).where(KeyRow.owner == owner)))


def revoke_key(store: Engine, owner: str, which: str) -> Key:
    """End a key, by its id or its name; raises UsageError where there is none, or several of the name."""
    with Session(store) as session, session.begin():
        mine = select(KeyRow).where(KeyRow.owner == owner, KeyRow.revoked.is_(None))
        rows = list(session.scalars(mine.where((KeyRow.id == which) | (KeyRow.name == which))))
        if not rows:
            known = [row.id for row in session.scalars(mine)]
            hint = did_you_mean(which, known) if known else "there are no keys"
            raise UsageError(f"no key has the id or the name {which[:100]!r}; {hint}")
        if len(rows) > 1:
            raise UsageError(f"{len(rows)} keys are named {which!r}; say which: {', '.join(row.id for row in rows)}")
        rows[0].revoked = time.time()
        audit.add(session, owner, actor="command line", action="key revoked", subject=f"{rows[0].id} {rows[0].name}")
        return _shown(rows[0])


def check_key(store: Engine, owner: str, secret: str) -> Key | None:
    """The key that a secret is, unless it is none of this owner's or was revoked; takes a tenth of a second."""
    with Session(store) as session:
        row = session.scalar(select(KeyRow).where(KeyRow.owner == owner, KeyRow.id == key_id(secret)))
        if row is None or row.revoked is not None:
            return None  # an unknown id costs no hashing: it is itself a hash of the secret
        try:
            _HASHER.verify(row.hash, secret)
        except (Argon2Error, InvalidHashError):
            return None
        return _shown(row)


def find_key(store: Engine, owner: str, id: str) -> Key | None:
    """A key that was checked before, as it is now."""
    with Session(store) as session:
        row = session.scalar(select(KeyRow).where(KeyRow.owner == owner, KeyRow.id == id))
        return None if row is None or row.revoked is not None else _shown(row)


def mark_used(store: Engine, owner: str, id: str) -> None:
    with Session(store) as session, session.begin():
        session.execute(update(KeyRow).where(KeyRow.owner == owner, KeyRow.id == id).values(used=time.time()))


def _shown(row: KeyRow) -> Key:
    return Key(row.id, row.name, tuple(row.scopes.split()), row.created, row.used, row.revoked)


def _base62(number: int) -> str:
    digits = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
