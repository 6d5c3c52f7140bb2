"""`wenlu explain`: why a model answers as it does, and what that is worth."""

from __future__ import annotations

import json as encoder
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wenlu.explanation.explanation import Explanation
    from wenlu.generation.rows import BadRow


def explain(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Run directory, model folder or hub id.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE|-] [KEY=VALUE]...", help="Data as recipes name them; settings."),
    ] = None,
    text: Annotated[str | None, typer.Option(help="One text, in place of a file.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(metavar="NAME=TEXT", help="With --text: what else is read, as context=...")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write one page that needs no network.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One object for each text.")] = False,
) -> None:
    """Tell what of a text speaks for the answer of MODEL and what against, with a certificate.

    MODEL classifies, tags, grades, answers questions or continues texts; a linear model is taken apart exactly. What
    is explained is its answer, or target=LABEL, held against another label with against=LABEL; of a tagger the tag of
    at=WORD. method= is integrated-gradients (the default), input-x-gradient, occlusion, shapley, attention-rollout,
    attention, or of a linear model weights; unit= is token, character, word or sentence; baseline= is mask, pad, mean
    or zero.

    The certificate says how far the sum is off, whether what is put first matters more than in random orders
    (comprehensiveness and sufficiency), and whether the explanation depends on the weights. Its verdict is valid,
    unconverged or unfaithful. attention=true tells the weights of all layers and heads, which the page draws.
    Exit code 3 when a row was bad.

    Example: wenlu explain runs/tiny --text "def main(args):" --html why.html
    """
    from wenlu.cli.explained import shown
    from wenlu.cli.progress import TerminalProgress
    from wenlu.cli.settings import file_and_overrides
    from wenlu.config import check, override
    from wenlu.errors import DataError, Interrupted, UsageError
    from wenlu.explanation.explain import Explainer, explain_rows
    from wenlu.explanation.explanation import Explanation
    from wenlu.explanation.settings import ExplainConfig
    from wenlu.generation.labelled import value_of

    file, overrides = file_and_overrides(arguments or [])
    if (file is None) == (text is None):
        raise UsageError("give either a FILE of texts (- for standard input) or --text TEXT")
    if html is not None and not html.absolute().parent.is_dir():
        raise UsageError(f"--html {html}: there is no folder {html.parent}; make it, or name another")
    task, overrides = value_of("task", overrides)
    config = check(ExplainConfig, override({}, overrides), where="explain")
    explainer = Explainer.load(model, task=task)
    found: list[Explanation] = []
    failed = 0
    rows: Iterator[Explanation | BadRow]
    if text is not None:
        rows = iter([explainer.one(text, _columns(column or []), config)])
    else:
        rows = explain_rows(explainer, sys.stdin.buffer if file == "-" else Path(str(file)), config)
    is_stopped = False
    with TerminalProgress() as progress:
        progress.start("explain", unit="texts")
        try:
            for number, row in enumerate(rows, start=1):
                if not isinstance(row, Explanation):
                    failed += 1
                    typer.echo(encoder.dumps({"id": row.id, "error": row.error}, ensure_ascii=False))
                    continue
                if json:
                    typer.echo(encoder.dumps(row.as_json(), ensure_ascii=False))
                else:
                    shown(row)
                found += [row] if html is not None else []
                progress.update(number)
        except KeyboardInterrupt:
            is_stopped = True
    if html is not None and found:
        from wenlu.explanation.page import write_page

        write_page(html, found, name=model)
        typer.echo(f"{len(found)} written to {html}", err=True)
    if is_stopped:
        raise Interrupted("interrupted; what was explained until then is above" + (f", and in {html}" if html else ""))
    if failed:
        raise typer.Exit(DataError.exit_code)


def _columns(given: list[str]) -> dict[str, str]:
    from wenlu.errors import UsageError

    pairs = [each.partition("=") for each in given]
    bad = next((name for name, sign, _ in pairs if not sign), None)
    if bad is not None:
        raise UsageError(f"--column {bad}: give the name of a column and its text, as context='...'")
    return {name: value for name, _, value in pairs}
