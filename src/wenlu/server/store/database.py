"""The database: opened, private to its owner, and brought up to date."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import Engine, create_engine, event, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from wenlu.errors import ConfigError, ResourceError

OWNER = "local"
"""Whoever runs the server; every query says whose rows it asks for, so that there can be others."""
_MIGRATIONS = Path(__file__).parent / "migrations"


def open_store(store: str) -> Engine:
    """The database of `ServeConfig.store`, its tables up to date; a file is made where there is none, for its owner
    alone. Raises ConfigError, ResourceError."""
    url, file = _url(store)
    try:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
            file.chmod(0o600)
        engine = create_engine(url, pool_pre_ping=file is None)
        if file is not None:
            event.listen(engine, "connect", _for_many_readers)
        _migrate(engine)
    except OSError as error:
        raise ResourceError(f"{file}: cannot keep keys there: {error.strerror}; set store=FILE") from error
    except ArgumentError as error:
        raise ConfigError(f"store: {store!r} is neither a file nor a URL that SQLAlchemy reads") from error
    except (SQLAlchemyError, ImportError) as error:
        raise ResourceError(f"store: cannot be opened: {type(error).__name__}; set store=FILE") from error
    return engine


def data_folder() -> Path:
    """Where what belongs to the user and is no cache is kept: `$WENLU_DATA`, else `~/.local/share/wenlu`."""
    chosen = os.environ.get("WENLU_DATA")
    return Path(chosen).expanduser() if chosen else Path.home() / ".local" / "share" / "wenlu"


def _url(store: str) -> tuple[str, Path | None]:
    if "://" in store:
        database = make_url(store).database
        return store, Path(database) if store.startswith("sqlite") and database else None
    file = data_folder() / "server.db" if store == "auto" else Path(store).expanduser().absolute()
    return f"sqlite:///{file}", file


def _migrate(engine: Engine) -> None:
    with engine.begin() as connection:
        if inspect(connection).has_table("keys") and not inspect(connection).has_table("alembic_version"):
            raise ConfigError(f"store: {engine.url.render_as_string()} has tables of another program")
        settings = AlembicConfig()
        settings.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")


def _for_many_readers(connection: Any, _record: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
