"""`wenlu export`: a model in a form that other programs read."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import Annotated

import typer

from wenlu.cli.settings import Json


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Run, model folder, GGUF file, package or hub id.")],
    out: Annotated[Path, typer.Option(help="New folder; an earlier export is replaced.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="format, dtype, language, parity.….")
    ] = None,
    json: Json = False,
) -> None:
    """Write a model as a Hugging Face folder, a GGUF file or an ONNX graph, with tokenizer, config and model card.

    format=hf|gguf|onnx, dtype=float32|float16|bfloat16|q8_0. What was written answers the same texts as the model,
    or nothing is left behind.

    Example: wenlu export runs/tiny format=gguf dtype=float16 --out exported/tiny
    """
    from rich.console import Console

    from wenlu.cli.parity import render
    from wenlu.cli.progress import TerminalProgress
    from wenlu.lifecycle.export import export as write

    with TerminalProgress() as progress:
        done = write(model, out, overrides or [], progress=progress)
    if json:
        typer.echo(encoder.dumps(done.to_json(), ensure_ascii=False))
        return
    Console().print(render(done.parity))
    typer.echo(f"{out}: {done.format}, {done.dtype}, {done.bytes:,} bytes")
