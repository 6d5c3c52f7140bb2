"""The tables, as migrations/ makes them; portable SQL, times in seconds since 1970."""

from __future__ import annotations

from sqlalchemy import Float, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class KeyRow(Base):
    """A key; what it reads is its hash, never the key.

    Attributes:
        id: told by the key, but tells nothing of it.
        scopes: with a space between.
    """

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64), index=True)
    name: Mapped[str] = mapped_column(String(96))
    hash: Mapped[str] = mapped_column(Text)
    scopes: Mapped[str] = mapped_column(String(64))
    created: Mapped[float] = mapped_column(Float)
    used: Mapped[float | None] = mapped_column(Float)
    revoked: Mapped[float | None] = mapped_column(Float)


class AuditRow(Base):
    """Something that was done; rows are only ever added."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    owner: Mapped[str] = mapped_column(String(64), index=True)
    time: Mapped[float] = mapped_column(Float)
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(255))
