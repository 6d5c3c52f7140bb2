"""`wenlu serve keys`: who may ask the server."""

from __future__ import annotations

import json as encoder
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wenlu.cli.settings import Json, help_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from wenlu.server.store.keys import Key

Store = Annotated[str, typer.Option(help="File or URL that keeps the keys, as the setting of wenlu serve.")]


def make(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whom or what it is for.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="infer or admin; may be said twice. By default infer.")
    ] = None,
    store: Store = "auto",
    json: Json = False,
) -> None:
    """Make a key and show it, this once: only its hash is kept.

    A server that runs asks for it within a second.

    Example: wenlu serve keys make laptop
    """
    from wenlu.server.store.database import OWNER
    from wenlu.server.store.keys import make_key

    key, secret = make_key(_opened(store), OWNER, name, scope or ["infer"])
    if json:
        typer.echo(encoder.dumps({**_content(key), "key": secret}))
    else:
        typer.echo(secret)
        typer.echo(f"{key.id} for {key.name} ({', '.join(key.scopes)}); it is not shown again", err=True)


def list_(store: Store = "auto", json: Json = False) -> None:
    """List keys: whose they are, when they were last used, which are revoked; never the keys themselves.

    Example: wenlu serve keys list
    """
    from wenlu.server.store.database import OWNER
    from wenlu.server.store.keys import list_keys

    keys = list_keys(_opened(store), OWNER)
    if json:
        typer.echo(encoder.dumps({"keys": [_content(key) for key in keys]}))
        return
    for key in keys:
        state = f"revoked {_day(key.revoked)}" if key.revoked else f"last used {_day(key.used)}"
        typer.echo(f"{key.id}  {key.name}  {','.join(key.scopes)}  made {_day(key.created)}  {state}")
    if not keys:
        typer.echo("no keys; make one with: wenlu serve keys make NAME", err=True)


def revoke(
    key: Annotated[str, typer.Argument(metavar="ID|NAME", help="As `wenlu serve keys list` shows it.")],
    store: Store = "auto",
    json: Json = False,
) -> None:
    """End a key, for good; a server that runs refuses it within a second.

    Example: wenlu serve keys revoke laptop
    """
    from wenlu.server.store.database import OWNER
    from wenlu.server.store.keys import revoke_key

    ended = revoke_key(_opened(store), OWNER, key)
    typer.echo(encoder.dumps(_content(ended)) if json else f"{ended.id} for {ended.name} is revoked")


def _opened(store: str) -> Engine:
    from wenlu.errors import MissingExtra

    try:
        import argon2  # noqa: F401

        from wenlu.server.store.database import open_store
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("wenlu"):
            raise
        raise MissingExtra(error.name, extra="serve", purpose="keep keys") from error
    return open_store(store)


def _content(key: Key) -> dict[str, Any]:
    times = {name: _time(getattr(key, name)) for name in ("created", "used", "revoked")}
    return {"id": key.id, "name": key.name, "scopes": list(key.scopes), **times}


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _day(seconds: float | None) -> str:
    return "never" if seconds is None else str(_time(seconds))[:10]


keys_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Who may ask the server: make, list and revoke keys."
)
SUBCOMMANDS = (("make", make), ("list", list_), ("revoke", revoke))
for word, verb in SUBCOMMANDS:
    keys_app.command(word, help=help_of(verb))(verb)
