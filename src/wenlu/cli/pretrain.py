"""`wenlu pretrain`: a recipe up to the trained model."""

from __future__ import annotations

import json as encoder

import typer

from wenlu.cli.settings import Json, Launch, Out, Overrides, RecipeFile, prepare_process


def pretrain(
    recipe: RecipeFile, overrides: Overrides = None, *, out: Out, launch: Launch = None, json: Json = False
) -> None:
    """Train a model from random weights as FILE.toml says; Ctrl-C leaves a run that the same command resumes.

    Example: wenlu pretrain recipes/tiny.toml optimizer.lr=1e-3 --out runs/pretrained
    """
    prepare_process(recipe, overrides or [], launch)
    from wenlu.cli.progress import TerminalProgress
    from wenlu.distributed import from_environment
    from wenlu.lifecycle import verbs

    with TerminalProgress() as progress:
        summary = verbs.pretrain(recipe, out, overrides or [], progress=progress)
    if from_environment().is_first:
        typer.echo(encoder.dumps(summary.to_json(), ensure_ascii=False) if json else f"model  {summary.path / 'model'}")
