"""`wenlu parity`: whether two models answer the same texts alike."""

from __future__ import annotations

import json as encoder
from typing import TYPE_CHECKING, Annotated

import typer

from wenlu.cli.settings import Json, Overrides

if TYPE_CHECKING:
    from rich.console import Group

    from wenlu.lifecycle.parity import Parity


def parity(
    a: Annotated[
        str, typer.Argument(metavar="A", help="The MODEL to answer like: run, folder, GGUF file, package, id.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The MODEL that should, or a server: http://HOST:PORT#NAME.")],
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Let two models answer the same texts: ids, logits, likeliest tokens, continuations, bits per byte, chat template.

    Thresholds follow from the coarser of their number types, or from parity.logits=…, parity.kl_nats=…; the texts are
    built in, or those of data.test=FILE. Exit code 1 where the models differ. A server is asked over HTTP for what it
    serves: its answers to examples, or continuations, their probabilities, and how it cuts texts.

    Example: wenlu parity runs/tiny runs/tiny/model parity.texts=4
    """
    from rich.console import Console
    from rich.markup import escape

    from wenlu.cli.progress import TerminalProgress
    from wenlu.lifecycle.parity import parity as compare
    from wenlu.lifecycle.served_parity import ServedParity

    with TerminalProgress() as progress:
        found = compare(a, b, overrides or [], progress=progress)
    if json:
        typer.echo(encoder.dumps(found.to_json(), ensure_ascii=False))
    elif isinstance(found, ServedParity):
        Console().print(escape(found.sentence), highlight=False)
        if found.first is not None:
            Console().print(escape("\n".join(f"  {key}: {value}" for key, value in found.first.items())))
    else:
        Console().print(render(found))
    if not found.equal:
        raise typer.Exit(1)


def render(found: Parity) -> Group:
    """The numbers beside their bounds, and the first place that is beyond them."""
    from rich import box
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    most = found.thresholds
    table = Table(title=f"{found.texts} texts, {found.tokens:,} tokens", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("check", "value", "bound", ""):
        table.add_column(column, justify="left" if column in ("check", "") else "right")
    logits = "–" if most["logits"] is None else f"≤ {most['logits']:g} + {most['relative']:g} · largest"
    rows = (
        ("same_ids", _yes(found.same_ids), "yes"),
        ("max_difference", _number(found.max_difference), logits),
        ("mean_kl_nats", _number(found.mean_kl_nats), f"≤ {most['kl_nats']:g}"),
        ("top1_agreement", _number(found.top1_agreement), f"≥ {most['top1']:g}"),
        ("min_cosine", _number(found.min_cosine), f"≥ {most['cosine']:g}"),
        ("same_continuation", _yes(found.same_continuation), "yes" if most["same_continuation"] else "–"),
        ("same_template", _yes(found.same_template), "yes"),
        ("same_ends", _yes(found.same_ends), "yes"),
    )
    for name, value, bound in rows:
        if value is not None:
            table.add_row(name, value, bound, "[red]beyond[/]" if name in found.failed else "")
    lines = []
    if found.bits_per_byte is not None:
        beyond = " [red]beyond[/]" if "bits_per_byte" in found.failed else ""
        lines.append("bits per byte: {:.6f} and {:.6f}".format(*found.bits_per_byte) + beyond)
    if found.first_difference is not None:
        first = found.first_difference
        lines.append(escape(f"first at text {first.text}, token {first.position}: {first.what}"))
    lines.append(f"[bold]{'the two answer alike' if found.equal else 'the two differ'}[/]")
    return Group(table, *lines)


def _yes(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.6g}"
