"""`wenlu export`: a model, or word vectors, in a form that other programs read."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import Annotated

import typer

from wenlu.cli.settings import Json


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Run, model or vectors, package or hub id.")],
    out: Annotated[Path, typer.Option(help="New folder, replacing an export; or FILE.vec.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="format, dtype, language, parity.….")
    ] = None,
    json: Json = False,
) -> None:
    """Write a model as a Hugging Face folder, a GGUF file or an ONNX graph, with tokenizer, config and model card.

    format=hf|gguf|onnx, dtype=float32|float16|bfloat16|q8_0; an adapter is merged into its base, or written alone with
    format=peft. What was written answers the same texts as the model, or nothing is left behind
    (accept_divergence=true keeps it); parity.json has the verdict. Word vectors have
    format=text (word2vec's, where --out ends in .vec or .txt) and format=folder; both are read again and compared.

    Example: wenlu export runs/tiny format=gguf dtype=float16 --out exported/tiny
    """
    from rich.console import Console

    from wenlu.cli.parity import render
    from wenlu.cli.progress import TerminalProgress
    from wenlu.lifecycle.export import Export
    from wenlu.lifecycle.export import export as write

    with TerminalProgress() as progress:
        done = write(model, out, overrides or [], progress=progress)
    if json:
        typer.echo(encoder.dumps(done.to_json(), ensure_ascii=False))
        return
    if isinstance(done, Export):
        Console().print(render(done.parity))
    typer.echo(str(done))
