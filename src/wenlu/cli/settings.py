"""What the verbs that read a recipe share: its arguments, and the restart that makes training fast."""

from __future__ import annotations

import sys
from collections.abc import Callable
from inspect import cleandoc
from pathlib import Path
from typing import Annotated

import typer

RecipeFile = Annotated[Path, typer.Argument(metavar="FILE.toml", help="Settings; recipes/ has some to start from.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change, as section.key=value.")
]
Out = Annotated[Path, typer.Option(help="Run directory; an existing run goes on.")]
Launch = Annotated[
    str | None,
    typer.Option(metavar="COMMAND", help='Train in several processes, as "torchrun --nproc-per-node 2".'),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def help_of(verb: Callable[..., object]) -> str:
    """A verb's help, its example on a line of its own, however narrow the terminal, so that it can be pasted."""
    return cleandoc(verb.__doc__ or "").replace("Example:", "\b\nExample:")


def prepare_process(recipe: Path, overrides: list[str], launch: str | None = None) -> None:
    """Restart with a better allocator unless the recipe says `train.allocator = "as-is"`; once, and it says so.

    With `launch` the command is carried out by other processes, and this one ends as they do.
    """
    from wenlu.cli import allocator
    from wenlu.config import override, read_toml

    settings = override(read_toml(recipe), overrides)
    section = settings.get("train", {})
    wants_tunables = isinstance(section, dict) and section.get("allocator", "auto") == "auto"
    if launch is not None:
        from wenlu.distributed.launch import launch as start

        if wants_tunables:
            allocator.set_for_children()
        raise typer.Exit(start(launch, without_launch(sys.argv[1:])))
    if wants_tunables and not allocator.is_active():
        allocator.restart_with_tunables()


def without_launch(arguments: list[str]) -> list[str]:
    """A command line as each of the launched processes gets it."""
    kept = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--launch":
            next(rest)
        elif not argument.startswith("--launch="):
            kept.append(argument)
    return kept


def file_and_overrides(arguments: list[str]) -> tuple[str | None, list[str]]:
    """The first argument is a file where it is one, or cannot be a setting."""
    if arguments and ("=" not in arguments[0] or Path(arguments[0]).is_file()):
        return arguments[0], arguments[1:]
    return None, arguments
