"""`wenlu serve`: answer over HTTP; and the keys of those who may ask."""

from __future__ import annotations

import json as encoder
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from wenlu.cli.serve_keys import keys_app
from wenlu.cli.settings import Json, help_of

if TYPE_CHECKING:
    from wenlu.server.messages import ModelInfo
    from wenlu.server.serving import Serving

_WHITE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEAHLCMmQAAAABJRU5ErkJggg=="
)
"""The smallest of pictures, so that what is said can be pasted: one white pixel."""


def serve(
    arguments: Annotated[list[str], typer.Argument(metavar="[NAME=]MODEL|KEY=VALUE", help="Models by name; settings.")],
    host: Annotated[
        str, typer.Option(help="Address to listen at; other machines reach 0.0.0.0, with a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8000,
    json: Json = False,
) -> None:
    """Answer over HTTP as OpenAI's and Anthropic's servers do, each MODEL at once, and with a page to try them at /.

    MODEL is a run, a model folder, a GGUF file, an adapter of another one, a hub id or package:NAME; requests call it
    by its name. KEY=VALUE is a setting where KEY has a section, as limits.waiting=16 or engine.max_batch=8, or is one
    of hosts, origins, store, log_level, log_prompts; any other NAME=MODEL is a model with a name.

    Only this machine may ask unless --host says else, which needs a key: wenlu serve keys --help. With a key, made so
    or in WENLU_API_KEY, every request must bring it. SIGTERM or Ctrl-C let what is being answered end.
    A model folder that is named like the subcommand is meant by ./keys.

    Example: wenlu serve runs/tiny
    """
    from wenlu.errors import MissingExtra

    try:
        from wenlu.server.names import models_and_settings
        from wenlu.server.serving import serve as run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("wenlu"):
            raise
        raise MissingExtra(error.name, extra="serve", purpose="answer over HTTP") from error

    models, settings = models_and_settings(arguments)
    run(models, host=host, port=port, overrides=settings, started=_show_json if json else _show)


def _show(serving: Serving) -> None:
    first = serving.models[0]
    key = ' -H "authorization: Bearer $WENLU_API_KEY"' if serving.needs_key else ""
    path, body = _question(first)
    typer.echo(f"{', '.join(model.name for model in serving.models)} at {serving.url}", err=True)
    typer.echo("Ask, for example:", err=True)
    ask = f"curl {serving.url}{path} -H 'content-type: application/json'{key}"
    typer.echo(f"  {ask} -d '{encoder.dumps(body, ensure_ascii=False)}'", err=True)


def _show_json(serving: Serving) -> None:
    content = {
        "url": serving.url,
        "models": [model.name for model in serving.models],
        "needs_key": serving.needs_key,
    }
    typer.echo(encoder.dumps(content, ensure_ascii=False))
    sys.stdout.flush()


def _question(told: ModelInfo) -> tuple[str, dict[str, Any]]:
    """What the model can be asked: a path of the API, and a body that it answers."""
    model, abilities, columns = told.name, told.abilities, told.columns
    if "chat" in abilities:
        content: Any = "Hello"
        if told.sees:
            asks = [{"type": "text", "text": "What is it?"}] if "question" in columns or not columns else []
            content = [{"type": "image_url", "image_url": {"url": _WHITE}}, *asks]
        return "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": content}]}
    if "complete" in abilities:
        return "/v1/completions", {"model": model, "prompt": "Once"}
    if "embed" in abilities:
        return "/v1/embeddings", {"model": model, "input": "Once"}
    example = dict.fromkeys(columns, "…") if len(columns) > 1 else "…"
    return f"/v1/{abilities[0]}", {"model": model, "input": example}


class ServeGroup(TyperGroup):
    """`wenlu serve MODEL` is short for `wenlu serve start MODEL`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = ["start", *args]
        return list(super().parse_args(ctx, args))


serve_app = typer.Typer(cls=ServeGroup, rich_markup_mode=None)
serve_app.command("start", short_help="Answer over HTTP; also without this word.", help=help_of(serve))(serve)
serve_app.add_typer(keys_app, name="keys", short_help="Make, list and revoke keys.")
