"""What was done to the server, and by whom: rows that are only ever added."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from wenlu.server.store.tables import AuditRow

_LONGEST = 255


@dataclass(frozen=True)
class Entry:
    """Something that was done, at a time in seconds since 1970."""

    time: float
    actor: str
    action: str
    subject: str


def record(store: Engine, owner: str, *, actor: str, action: str, subject: str = "") -> None:
    """Add one entry."""
    with Session(store) as session, session.begin():
        add(session, owner, actor=actor, action=action, subject=subject)


def add(session: Session, owner: str, *, actor: str, action: str, subject: str) -> None:
    """Add one entry together with what it tells of, or neither."""
    session.add(AuditRow(owner=owner, time=time.time(), actor=actor, action=action, subject=subject[:_LONGEST]))


def entries(store: Engine, owner: str) -> list[Entry]:
    """All that was done for an owner, in order."""
    with Session(store) as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.owner == owner).order_by(AuditRow.id))
        return [Entry(row.time, row.actor, row.action, row.subject) for row in rows]
