"""What is told of each example of an evaluation, by which comparisons are cut into slices."""

from __future__ import annotations

from wenlu.corpus.record import Record
from wenlu.corpus.script import letters_by_script
from wenlu.tasks import LabelledConfig
from wenlu.tasks.labelled.task import value_of

LABEL, NUMBER, NONE = "label", "characters", "none"


def facts_of(record: Record, config: LabelledConfig | None = None) -> dict[str, str | int]:
    """Its source, the script that most of its letters are of, its length, and its label where the task has one."""
    letters = letters_by_script(record.text)
    facts: dict[str, str | int] = {
        "source": record.meta.get("source", NONE),
        "script": max(letters, key=lambda script: letters[script]) if letters else NONE,
        NUMBER: len(record.text),
    }
    if config is not None and any(role.name == LABEL for role in config.roles):
        label = value_of(record, LABEL, config)
        return facts if label is None else {**facts, LABEL: label}
    return facts
