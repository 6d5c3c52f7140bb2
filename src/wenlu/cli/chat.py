"""`wenlu chat`: talk with a model at the terminal, or answer the lines of a pipe."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from wenlu.cli.settings import Json


def chat(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Run directory, model folder, GGUF file, hub id or package.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings of [generate].")
    ] = None,
    system: Annotated[str, typer.Option(help="A text that stands above the conversation.")] = "",
    plain: Annotated[bool, typer.Option("--plain", help="Show answers as they are written, not as Markdown.")] = False,
    json: Json = False,
) -> None:
    """Write in turns with a model: answers stream, Ctrl-C stops one, /help lists the commands.

    What a chat model answers is drawn as Markdown, unless --plain is said or the terminal cannot.

    A model of a labelled task shows the label, the entities, the answer or the grade of what you type, and how sure it
    is; one that writes code shows the function whose signature and docstring you type (an empty line ends them), or
    fills <fill> in; of several tasks task=NAME chooses one. A model with a chat template answers as an assistant;
    another one continues the text. They are sampled from as generation_config.json says, or at temperature 0.2 and 0.8.

    With piped input each line is answered in plain text, or with --json as one object.

    Example: echo "def " | wenlu chat runs/tiny max_new_tokens=32
    """
    from rich.console import Console

    from wenlu.bundle import load
    from wenlu.cli.chat_session import Session, Terminal, answer_lines, checked, starting_settings
    from wenlu.cli.chat_texts import texts
    from wenlu.config import override
    from wenlu.errors import DataError, UsageError
    from wenlu.generation.conversation import Conversation
    from wenlu.generation.labelled import is_labelled
    from wenlu.generation.rows import read_rows

    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if terminal and json:
        raise UsageError("--json answers piped lines, for example: echo 'Once' | wenlu chat MODEL --json")
    if is_labelled(model):
        _with_examples(model, overrides or [], terminal=terminal, json=json)
        return
    checked(override({}, overrides or []))  # before the model is read
    bundle = load(model)
    settings = override(starting_settings(bundle, draw_seed=terminal), overrides or [])
    notes, answers = Console(stderr=True, highlight=False), Console(highlight=False)
    session = Session(Conversation(bundle, system), settings, texts(), notes, answers)
    if terminal:
        in_markdown = session.conversation.in_roles and not plain and not answers.is_dumb_terminal
        Terminal(session, in_markdown=in_markdown).run()
    elif answer_lines(session, read_rows(sys.stdin.buffer, name="stdin", format="txt"), as_json=json):
        raise typer.Exit(DataError.exit_code)


def _with_examples(model: str, overrides: list[str], *, terminal: bool, json: bool) -> None:
    from rich.console import Console

    from wenlu.bundle import load
    from wenlu.cli.chat_examples import answer_piped, converse
    from wenlu.config import check, override
    from wenlu.errors import DataError
    from wenlu.generation.labelled import AnsweringConfig, answers_examples, value_of
    from wenlu.generation.rows import read_rows

    task, overrides = value_of("task", overrides)
    config = check(AnsweringConfig, override({}, overrides), where="chat")
    bundle = load(model, task=task)
    assert answers_examples(bundle), "asked of models of labelled tasks"
    notes, answers = Console(stderr=True, highlight=False), Console(highlight=False)
    if terminal:
        converse(bundle, config, notes, answers)
    elif answer_piped(bundle, read_rows(sys.stdin.buffer, name="stdin", format="txt"), config, answers, as_json=json):
        raise typer.Exit(DataError.exit_code)
