"""`wenlu chat` with a model of a labelled task: type an example, see its answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from wenlu.bundle import Bundle
from wenlu.errors import WenluError
from wenlu.generation.labelled import AnsweringConfig, answer_examples
from wenlu.generation.rows import BadRow, Row
from wenlu.tasks import Code, LabelledTask
from wenlu.tasks.coding.gaps import FILL
from wenlu.tasks.labelled import Role

SHOWN = 3
"""Labels with their probabilities, the likeliest first."""
_COLOURS = ("black on bright_cyan", "black on bright_yellow", "black on bright_green", "black on bright_magenta")


def converse(bundle: Bundle, config: AnsweringConfig, notes: Console, answers: Console) -> None:
    """Ask for what an example is made of, show the answer, and again until Ctrl-D; an empty line keeps what was."""
    import readline  # noqa: F401  (gives input() line editing and history)

    task = bundle.task
    assert isinstance(task, LabelledTask), "asked of models of labelled tasks"
    roles = asked(task, config)
    notes.print(Text(f"{bundle.path} · {task.name} · {' + '.join(role.name for role in roles)}", style="bold"))
    before: dict[str, str] = {}
    while True:
        try:
            given = {role.name: _typed(role) or before.get(role.name, "") for role in roles}
        except (EOFError, KeyboardInterrupt):
            answers.print()
            return
        if not any(given.values()):
            continue
        before = given
        try:
            told = next(answer_examples(bundle, [row_of(task, given)], config))
        except WenluError as error:
            told = {"error": str(error)}
        if "error" in told:
            notes.print(Text(told["error"], style="red"))
        else:
            answers.print(rendered(told, given, task), soft_wrap=True)


def answer_piped(
    bundle: Bundle, rows: Iterable[Row | BadRow], config: AnsweringConfig, answers: Console, *, as_json: bool
) -> int:
    """Answer each line; a line is the first thing that an example is made of, or a JSON object of all by name.

    Returns how many could not be answered.
    """
    task, failed = bundle.task, 0
    assert isinstance(task, LabelledTask), "asked of models of labelled tasks"
    for row in rows:
        asked_row = row if isinstance(row, BadRow) else row_of(task, _fields(task, row.prompt))
        told = next(answer_examples(bundle, [asked_row], config))
        failed += "error" in told
        shown = json.dumps(told, ensure_ascii=False) if as_json else str(told.get("prediction", told.get("error")))
        answers.file.write(shown + "\n")
        answers.file.flush()
    return failed


def asked(task: LabelledTask, config: AnsweringConfig) -> list[Role]:
    """What a person is asked for: all that is not the answer, but what is optional only where the data had it."""
    named = {*task.config.columns, *config.columns}
    return [role for role in task.config.roles if not role.is_answer and (not role.is_optional or role.name in named)]


def row_of(task: LabelledTask, given: Mapping[str, str]) -> Row:
    """A row as a file would have it."""
    first = task.config.roles[0].name
    meta = {task.config.column(name): value for name, value in given.items() if name != first and value}
    return Row("text", given.get(first, ""), meta)


def _typed(role: Role) -> str:
    """A line; where the role has several, all up to an empty one that stands outside of a docstring."""
    text = input(f"{role.name}> ")
    while role.is_long and text:
        line = input(f"{'.' * len(role.name)}. ")
        if not line.strip() and not (text.count('"""') % 2 or text.count("'''") % 2):
            break
        text += f"\n{line}"
    return text


def rendered(told: Mapping[str, Any], given: Mapping[str, str], task: LabelledTask | None = None) -> Text:
    """An answer for the terminal: entities, tagged words and answers in colour where they stand, labels with their
    probability; code where it belongs in what was typed."""
    if isinstance(task, Code):
        return _completed(str(told["prediction"]), given)
    for name in ("entities", "words"):
        if name in told:
            return _marked(next(iter(given.values())), told[name])
    context = given.get("context", "")
    if told["prediction"] and isinstance(told.get("start"), int) and context:
        return _marked(context, [{"start": told["start"], "end": told["end"], "label": _percent(told)}])
    text = Text(str(told["prediction"]) if told["prediction"] is not None else "–", style="bold")
    by_label = told.get("probabilities")
    if isinstance(by_label, Mapping):
        best = sorted(by_label.items(), key=lambda item: -item[1])[:SHOWN]
        text.append("   " + "  ".join(f"{label} {chance:.1%}" for label, chance in best), style="dim")
    elif told.get("probability") is not None:
        text.append(f"   {_percent(told)}", style="dim")
    return text


def _completed(written: str, given: Mapping[str, str]) -> Text:
    """The function with its body, or the text with its gap filled."""
    prompt, gap, suffix = given.get("prompt", "").partition(FILL)
    suffix = given.get("suffix", "") or suffix
    if not gap and not suffix:
        prompt = f"{prompt.rstrip()}\n"
    return Text.assemble(prompt, (written, "bold"), suffix)


def _percent(told: Mapping[str, Any]) -> str:
    chance = told.get("probability")
    return "" if chance is None else f"{chance:.1%}"


def _marked(text: str, spans: Iterable[Mapping[str, Any]]) -> Text:
    out, place = Text(), 0
    numbers: dict[str, int] = {}
    for span in sorted(spans, key=lambda span: span["start"]):
        out.append(text[place : span["start"]])
        label = str(span.get("label", ""))
        colour = _COLOURS[numbers.setdefault(label, len(numbers)) % len(_COLOURS)]
        out.append(text[span["start"] : span["end"]], style=colour)
        out.append(f" {label}" if label else "", style="dim")
        place = span["end"]
    out.append(text[place:])
    return out


def _fields(task: LabelledTask, line: str) -> dict[str, str]:
    if line.lstrip().startswith("{"):
        try:
            value = json.loads(line)
        except json.JSONDecodeError:
            value = None
        if isinstance(value, dict):
            return {str(key): item if isinstance(item, str) else json.dumps(item) for key, item in value.items()}
    return {next(role.name for role in task.config.roles if not role.is_answer): line}
