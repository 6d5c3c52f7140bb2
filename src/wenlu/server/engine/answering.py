"""`Answer`s while they are answered: examples of a task, a few at a time, those of several requests together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wenlu.bundle import Bundle
from wenlu.config import did_you_mean
from wenlu.evaluation.linear.prediction import Stored, answer_linear
from wenlu.generation.labelled import AnsweringConfig, abstained, answer_examples
from wenlu.generation.rows import BadRow, Row
from wenlu.server.engine.problem import Problem
from wenlu.server.engine.served import Served
from wenlu.server.messages import Answer, Answers
from wenlu.tasks import Dialogue, GenerativeTask, LabelledTask, Preference
from wenlu.tasks.labelled.task import Role

_UNDECIDED = 0.0
"""No answer is less probable, so that each request says itself how sure it wants to be."""


class Answering:
    """Raises Problem for a model that does another task."""

    def __init__(self, asked: Answer, served: Served) -> None:
        if asked.ability not in served.info.abilities or task_of(served) is None:
            does = ", ".join(served.info.abilities)
            raise Problem("request", f"{served.name} cannot {asked.ability}; it can be asked to {does}")
        self.served = served
        self.asked = asked
        self.rows = list(rows_asked(served, asked.examples))
        self.tokens = tokens_of(served, self.rows)
        self.lines: list[dict[str, Any]] = []

    @property
    def waiting(self) -> Sequence[Row | BadRow]:
        return self.rows[len(self.lines) :]

    def take(self, line: Mapping[str, Any]) -> None:
        """The answer to the next example."""
        task = task_of(self.served)
        assert task is not None, "it was asked for"
        below = task.config.abstain_below if self.asked.abstain_below is None else self.asked.abstain_below
        told = {name: value for name, value in line.items() if name not in ("id", "signature")}
        self.lines.append(told if "error" in told else abstained(told, below))

    @property
    def reply(self) -> Answers | None:
        """Once all are answered."""
        if self.waiting:
            return None
        return Answers(id=self.asked.id, rows=tuple(self.lines), tokens=self.tokens)


def go_on(together: Sequence[Answering], most: int) -> None:
    """Answer the next examples of requests to one model, `most` of all of them."""
    served = together[0].served
    taken: list[tuple[Answering, Row | BadRow]] = []
    for one in together:
        taken += [(one, row) for row in one.waiting[: most - len(taken)]]
    lines = _answered(served, [row for _, row in taken])
    for (one, _), line in zip(taken, lines, strict=True):
        one.take(line)


def task_of(served: Served) -> LabelledTask | None:
    """The task whose examples it answers."""
    task = served.bundle.model.task if isinstance(served.bundle, Stored) else served.bundle.task
    return task if isinstance(task, LabelledTask) and not isinstance(task, Dialogue | Preference) else None


def writes(served: Served) -> bool:
    """Whether an answer is written token by token, which takes longer than reading it off a head."""
    return isinstance(task_of(served), GenerativeTask)


def _answered(served: Served, rows: list[Row | BadRow]) -> Iterator[dict[str, Any]]:
    config = AnsweringConfig(abstain_below=_UNDECIDED)
    if isinstance(served.bundle, Stored):
        return answer_linear(served.bundle, rows, config)
    return answer_examples(served.bundle, rows, config)


def rows_asked(served: Served, examples: Sequence[Mapping[str, Any]]) -> Iterator[Row | BadRow]:
    """Examples as the task reads them, by its columns' names in training."""
    task = task_of(served)
    assert task is not None, "it was asked for"
    asked = [role for role in task.config.roles if not role.is_answer]
    features = served.bundle.model.features.config.columns if isinstance(served.bundle, Stored) else ()
    for place, example in enumerate(examples):
        id = f"input {place}"
        error = _wrong(example, asked, features)
        if error is not None:
            yield BadRow(id, error)
            continue
        meta = {task.config.column(role.name): example[role.name] for role in asked if role.name in example}
        meta |= {name: example[name] for name in features if name in example}
        yield Row(id, example[asked[0].name], meta)


def _wrong(example: Mapping[str, Any], asked: Sequence[Role], features: Sequence[str]) -> str | None:
    """What is wrong with an example."""
    known = [*(role.name for role in asked), *features]
    for name, value in example.items():
        if name not in known:
            return f"{name}: the task reads no such column; {did_you_mean(name, known)}"
        if not isinstance(value, str):
            return f"{name}: {value!r:.80} is no text"
    missing = next((role.name for role in asked if not role.is_optional and role.name not in example), None)
    return None if missing is None else f"{missing}: is missing; the task reads {', '.join(known)}"


def tokens_of(served: Served, rows: Sequence[Row | BadRow]) -> int:
    """Of all texts, as the model's tokenizer counts; a linear model has none."""
    if not isinstance(served.bundle, Bundle):
        return 0
    texts = [row.prompt for row in rows if isinstance(row, Row)]
    return sum(map(len, served.bundle.tokenizer.encode_batch(texts)))
