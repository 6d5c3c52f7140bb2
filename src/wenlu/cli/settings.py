"""What the verbs that read a recipe share: its arguments, and the restart that makes training fast."""

from __future__ import annotations

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
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def help_of(verb: Callable[..., object]) -> str:
    """A verb's help, its example on a line of its own, however narrow the terminal, so that it can be pasted."""
    return cleandoc(verb.__doc__ or "").replace("Example:", "\b\nExample:")


def prepare_process(recipe: Path, overrides: list[str]) -> None:
    """Restart with a better allocator unless the recipe says `train.allocator = "as-is"`; once, and it says so."""
    from wenlu.cli import allocator
    from wenlu.config import override, read_toml

    settings = override(read_toml(recipe), overrides)
    section = settings.get("train", {})
    if isinstance(section, dict) and section.get("allocator", "auto") == "auto" and not allocator.is_active():
        allocator.restart_with_tunables()
