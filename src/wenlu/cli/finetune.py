"""`wenlu finetune`: a model that is there already, or labelled examples, to a model with its scores."""

from __future__ import annotations

import json as encoder
import time

import typer

from wenlu.cli.settings import Json, Launch, Out, Overrides, RecipeFile, prepare_process


def finetune(
    recipe: RecipeFile, overrides: Overrides = None, *, out: Out, launch: Launch = None, json: Json = False
) -> None:
    """Train a model for a task on your own file: labels, entities, answers, grades, translations, summaries, code.

    Columns of the file are named as data.text=COLUMN; what is done already is not done again.

    Example: wenlu finetune recipes/classify.toml data.train=a.jsonl data.text=text data.label=label --out runs/mine
    """
    prepare_process(recipe, overrides or [], launch)
    from wenlu.cli.progress import TerminalProgress
    from wenlu.cli.run import words_of
    from wenlu.distributed import from_environment
    from wenlu.lifecycle import verbs

    begin = time.perf_counter()
    with TerminalProgress() as progress:
        summary = verbs.finetune(recipe, out, overrides or [], progress=progress)
    if from_environment().is_first:
        seconds = time.perf_counter() - begin
        typer.echo(encoder.dumps(summary.to_json(), ensure_ascii=False) if json else words_of(summary, seconds))
