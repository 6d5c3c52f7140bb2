"""`wenlu tokenizer`: a recipe up to the tokenizer."""

from __future__ import annotations

import json as encoder
from typing import TYPE_CHECKING

import typer
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from wenlu.cli.settings import Json, Out, Overrides, RecipeFile

if TYPE_CHECKING:
    from wenlu.tokenizers import FertilityReport, LanguageFertility


def tokenizer(recipe: RecipeFile, overrides: Overrides = None, *, out: Out, json: Json = False) -> None:
    """Train a tokenizer as FILE.toml says, and measure it on held-out text of each language.

    Example: wenlu tokenizer recipes/tiny.toml tokenizer.kind=unigram --out runs/tokenizer
    """
    from wenlu.cli.progress import TerminalProgress
    from wenlu.lifecycle import verbs

    with TerminalProgress() as progress:
        report = verbs.tokenizer(recipe, out, overrides or [], progress=progress)
    if json:
        typer.echo(encoder.dumps(report.to_json(), ensure_ascii=False))
    else:
        Console().print(render_fertility(report))


def render_fertility(report: FertilityReport) -> Group:
    """One row a language; below it, texts that decoding did not give back."""
    table = Table(title=f"Tokens of {report.vocab_size:,} on each language", title_justify="left")
    table.add_column("language")
    for name in ("texts", "tokens/char", "tokens/word", "tokens/byte", "bytes/token", "unknown", "changed texts"):
        table.add_column(name, justify="right")
    for row in report.languages:
        table.add_row(escape(row.language), *_cells(row))
    notes = [line for row in report.languages for line in _examples(row)]
    return Group(table, *notes)


def _cells(row: LanguageFertility) -> list[str]:
    if not row.tokens:
        return [f"{row.texts:,}", *["–"] * 6]
    rates = row.rates
    return [
        f"{row.texts:,}",
        f"{rates['tokens_per_character']:.3f}",
        f"{rates['tokens_per_word']:.2f}",
        f"{rates['tokens_per_byte']:.3f}",
        f"{rates['bytes_per_token']:.2f}",
        f"{rates['unknown_rate']:.2%}",
        f"{row.failures:,}",
    ]


def _examples(row: LanguageFertility) -> list[str]:
    return [
        f"{escape(row.language)}, text {example.text}, character {example.character}: "
        f"{escape(repr(example.expected))} came back as {escape(repr(example.decoded))}"
        for example in row.examples
    ]
