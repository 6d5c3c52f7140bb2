"""`wenlu run`: the whole life of a model, from a recipe to a report."""

from __future__ import annotations

import json as encoder
import shlex
import time
from typing import TYPE_CHECKING, Any

import typer

from wenlu.cli.settings import Json, Launch, Out, Overrides, RecipeFile, prepare_process

if TYPE_CHECKING:
    from wenlu.lifecycle.chapters.told import Chapters, Told
    from wenlu.lifecycle.verbs import RunSummary


def run(
    recipe: RecipeFile, overrides: Overrides = None, *, out: Out, launch: Launch = None, json: Json = False
) -> None:
    """Take a model through its whole life: data, tokenizer, training, evaluation, samples, report.

    What is done already for the same settings, data and code is not done again; an interrupted run goes on. A file may
    have chapters, each a verb with its settings: recipes/life-zh.toml goes on to search, comparison, compression and
    an endpoint.

    Example: wenlu run recipes/tiny.toml --out runs/tiny
    """
    prepare_process(recipe, overrides or [], launch)
    from rich.console import Console

    from wenlu.cli.progress import TerminalProgress
    from wenlu.cli.word_tables import WORD_VECTORS, render_words
    from wenlu.distributed import from_environment
    from wenlu.lifecycle import verbs
    from wenlu.lifecycle.chapters.life import carry_out, has_chapters

    begin = time.perf_counter()
    if has_chapters(recipe):
        with TerminalProgress() as progress:
            found = carry_out(recipe, out, overrides or [], progress=progress)
        typer.echo(encoder.dumps(found.to_json(), ensure_ascii=False) if json else words_of_chapters(found))
        return
    with TerminalProgress() as progress:
        summary = verbs.run(recipe, out, overrides or [], progress=progress)
    seconds = time.perf_counter() - begin
    if not from_environment().is_first:
        return
    if not json and summary.evaluation is not None and summary.evaluation.get("model") == WORD_VECTORS:
        Console().print(render_words(summary.evaluation))
        typer.echo(_after_vectors(summary, seconds))
    else:
        typer.echo(encoder.dumps(summary.to_json(), ensure_ascii=False) if json else words_of(summary, seconds))


def words_of_chapters(found: Chapters) -> str:
    """What each chapter came to, and how to go on."""
    lines = []
    for each in found.chapters:
        lines.append(f"{each.name:<12} {each.seconds:7.1f} s   {each.lines[-1] if each.lines else _main(each)}")
    lines += ["", f"report  {found.path / 'report.html'}   ({found.seconds / 60:.1f} min of work)"]
    if found.served:
        lines += ["", "Try next:", f"  wenlu serve {' '.join(map(shlex.quote, found.served))}"]
    return "\n".join(lines)


def _main(told: Told) -> str:
    return f"{told.metrics[0]['name']} {told.metrics[0]['value']:.4f}" if told.metrics else ""


def _after_vectors(summary: RunSummary, seconds: float) -> str:
    lines = [
        f"report  {summary.path / 'report.html'}   (after {seconds:.0f} s)",
        "",
        "Try next:",
        f"  wenlu predict {summary.path} --text {shlex.quote(summary.prompt or 'king - man + woman')}",
        f"  wenlu evaluate {summary.path} --json",
    ]
    return "\n".join(lines)


def words_of(summary: RunSummary, seconds: float) -> str:
    """The result in a few lines, and what to try next."""
    lines = []
    if summary.evaluation is not None:
        lines += _scores(summary.evaluation)
    lines += [_transfer(row) for row in summary.transfer]
    lines += [_forgetting(row) for row in (summary.evaluation or {}).get("forgetting", [])]
    lines += [f"report         {summary.path / 'report.html'}   (after {seconds:.0f} s)", "", "Try next:"]
    if members := (summary.evaluation or {}).get("members"):
        task = f"task={next(iter(members))}"
        lines += [
            f"  wenlu chat {summary.path} {task}",
            f"  wenlu predict {summary.path} FILE {task} --out answers.jsonl",
        ]
    elif summary.answers_examples:
        lines += [f"  wenlu chat {summary.path}", f"  wenlu predict {summary.path} FILE --out answers.jsonl"]
    elif summary.prompt is not None:
        sampling = "max_new_tokens=64 temperature=0.8"
        lines += [
            f"  wenlu chat {summary.path}",
            f"  wenlu predict {summary.path} --text {shlex.quote(summary.prompt)} {sampling}",
        ]
    return "\n".join([*lines, f"  wenlu evaluate {summary.path} --json"])


def _scores(evaluation: dict[str, Any]) -> list[str]:
    from wenlu.evaluation.controls import CONTROLS

    members = evaluation.get("members", {})
    if members:
        return [line for name, own in members.items() for line in (f"{name}:", *(f"  {one}" for one in _scores(own)))]
    headline, baseline = evaluation["headline"], evaluation.get("baseline")
    lines = [f"{headline['name'].replace('_', ' '):<14} {headline['value']:.4f}"]
    if baseline is not None:
        lines.append(f"  {'n-gram' if evaluation['task'] == 'causal-lm' else 'baseline':<12} {baseline['value']:.4f}")
        lines.append(f"  difference   {evaluation['difference']['verdict']}")
    by_name = {score["name"]: score["value"] for score in evaluation["metrics"]}
    for control in CONTROLS:
        if (value := by_name.get(f"{control}_{headline['name']}")) is not None:
            lines.append(f"  {control:<12} {value:.4f}")
    return lines


def _forgetting(row: dict[str, Any]) -> str:
    """What the base could do, before and after."""
    ends = "no interval" if row["low"] is None else f"{row['low']:+.4f} … {row['high']:+.4f}"
    return (
        f"{row['name']}: {row['metric'].replace('_', ' ')} {row['before']:.4f} before, {row['after']:.4f} after: "
        f"{row['difference']:+.4f} ({ends}), {row['verdict']}"
    )


def _transfer(row: dict[str, Any]) -> str:
    """A member alone and together with the others, and what that did to it."""
    found = row["difference"]
    ends = "no interval" if found["low"] is None else f"{found['low']:+.4f} … {found['high']:+.4f}"
    return (
        f"{row['member']:<14} {row['metric'].replace('_', ' ')} {row['alone']:.4f} alone, {row['together']:.4f} "
        f"together: {found['value']:+.4f} ({ends}), {row['effect']}"
    )
