"""Tasks: where data meets model, one a file; a row each in `TASKS`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny, ValidationError, WithJsonSchema

from wenlu.config import did_you_mean
from wenlu.errors import ConfigError, WeightsError
from wenlu.tasks.captioning import Captioning
from wenlu.tasks.causal_lm import CausalLM, CausalLMConfig, Likelihood, Text
from wenlu.tasks.code import Code
from wenlu.tasks.denoising import Denoising
from wenlu.tasks.dialogue import Dialogue
from wenlu.tasks.embedding import Embedding
from wenlu.tasks.grading import Grading
from wenlu.tasks.image_text_retrieval import ImageTextRetrieval
from wenlu.tasks.labelled import GenerativeTask, LabelledConfig, LabelledTask, ReadingTask, WritingTask
from wenlu.tasks.masked_lm import MaskedLM
from wenlu.tasks.multi_task import MEMBERS, MultiTask, MultiTaskConfig
from wenlu.tasks.next_sentence import NextSentence
from wenlu.tasks.objective import Guesses, Objective
from wenlu.tasks.pictured.task import PicturedConfig, PicturedTask
from wenlu.tasks.preference import Preference
from wenlu.tasks.prefix_lm import PrefixLM
from wenlu.tasks.question_answering import QuestionAnswering
from wenlu.tasks.replaced_tokens import ReplacedTokens
from wenlu.tasks.reward import Reward
from wenlu.tasks.sentence_order import SentenceOrder
from wenlu.tasks.span_corruption import SpanCorruption
from wenlu.tasks.summarisation import Summarisation
from wenlu.tasks.task import (
    FILE,
    IGNORED,
    Batch,
    Draw,
    Loss,
    Part,
    Predictor,
    Reading,
    ScoredTask,
    Task,
    TaskConfig,
    TextTask,
    Totals,
)
from wenlu.tasks.text_classification import TextClassification
from wenlu.tasks.token_classification import TokenClassification
from wenlu.tasks.translation import Translation
from wenlu.tasks.visual_question_answering import VisualQuestionAnswering
from wenlu.tasks.word_analogy import WordAnalogy
from wenlu.tasks.word_similarity import WordSimilarity
from wenlu.tokenizers import Tokenizer

TASKS: tuple[type[TextTask], ...] = (
    CausalLM,
    Denoising,
    MaskedLM,
    NextSentence,
    PrefixLM,
    ReplacedTokens,
    SentenceOrder,
    SpanCorruption,
)
"""What models learn from running text."""
LABELLED_TASKS: tuple[type[LabelledTask], ...] = (
    Captioning,
    Code,
    Dialogue,
    Embedding,
    Grading,
    ImageTextRetrieval,
    Preference,
    QuestionAnswering,
    Reward,
    Summarisation,
    TextClassification,
    TokenClassification,
    Translation,
    VisualQuestionAnswering,
)
"""What models learn from examples that carry the right answer."""
MULTI_TASKS: tuple[type[MultiTask], ...] = (MultiTask,)
"""What joins several of them."""
SCORED_TASKS: tuple[type[ScoredTask], ...] = (WordAnalogy, WordSimilarity)
"""What is only measured."""


def task_type(name: str) -> type[Task]:
    """The row with this name; raises ValueError with the nearest one."""
    rows: tuple[type[Task], ...] = (*TASKS, *LABELLED_TASKS, *MULTI_TASKS)
    for task in rows:
        if task.name == name:
            return task
    raise ValueError(f"no task {name!r}; {did_you_mean(name, [task.name for task in rows])}")


def read_settings(value: object) -> TaskConfig:
    """Settings of a task from its name alone or from a table with `name` and further keys; raises ValueError."""
    match value:
        case TaskConfig():
            return value
        case str(name):
            table: dict[str, Any] = {"name": name}
        case {"name": str(name)}:
            table = {**value}  # type: ignore[dict-item]
        case _:
            raise ValueError(f'say which task: name = "masked-lm", not {value!r}')
    config = task_type(name).settings
    try:
        return config.model_validate(table)
    except ValidationError as error:
        raise ValueError("; ".join(_complaint(config, details) for details in error.errors())) from error


def _complaint(config: type[TaskConfig], details: Any) -> str:
    key = ".".join(map(str, details["loc"]))
    if details["type"] == "extra_forbidden":
        return f"{key}: unknown key; {did_you_mean(key, config.model_fields)}"
    message = details["msg"].removeprefix("Value error, ")
    message = f"{key}: " * bool(key) + message[:1].lower() + message[1:]
    return message if details["type"] == "value_error" else f"{message}, not {details['input']!r}"


def new_task(config: TaskConfig, tokenizer: Tokenizer) -> Task:
    """The task of the settings; raises ConfigError where the tokenizer lacks what it needs."""
    return task_type(config.name)(config, tokenizer)


def load_task(folder: Path, tokenizer: Tokenizer) -> Task | None:
    """The task that the model in `folder` was trained for, or its tasks; None where it does not say.

    Raises WeightsError.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        task = new_task(read_settings(json.loads(path.read_text(encoding="utf-8"))), tokenizer)
    except (ValueError, ConfigError, RecursionError) as error:
        raise WeightsError(f"{path}: {error}") from error
    if isinstance(task, MultiTask):
        return task.with_members({name: load_member(folder, name, tokenizer) for name in task.config.names})
    return task.restored(folder)


def load_member(folder: Path, name: str, tokenizer: Tokenizer) -> ReadingTask:
    """One of the tasks that the model in `folder` was trained for; raises WeightsError."""
    member = load_task(folder / MEMBERS / name, tokenizer)
    if not isinstance(member, ReadingTask):
        raise WeightsError(f"{folder / MEMBERS / name}: no {FILE} of a task with a head, but {folder / FILE} names it")
    return member


_SCHEMA = {"anyOf": [task.settings.model_json_schema() for task in (*TASKS, *LABELLED_TASKS, *MULTI_TASKS)]}

TaskField = Annotated[TaskConfig, BeforeValidator(read_settings), SerializeAsAny(), WithJsonSchema(_SCHEMA)]
"""A settings field: a task, its name or a table."""

__all__ = [
    "IGNORED",
    "LABELLED_TASKS",
    "MEMBERS",
    "MULTI_TASKS",
    "SCORED_TASKS",
    "TASKS",
    "Batch",
    "Captioning",
    "CausalLM",
    "CausalLMConfig",
    "Code",
    "Denoising",
    "Dialogue",
    "Draw",
    "Embedding",
    "GenerativeTask",
    "Grading",
    "Guesses",
    "ImageTextRetrieval",
    "LabelledConfig",
    "LabelledTask",
    "Likelihood",
    "Loss",
    "MaskedLM",
    "MultiTask",
    "MultiTaskConfig",
    "NextSentence",
    "Objective",
    "Part",
    "PicturedConfig",
    "PicturedTask",
    "Predictor",
    "Preference",
    "PrefixLM",
    "QuestionAnswering",
    "Reading",
    "ReadingTask",
    "ReplacedTokens",
    "Reward",
    "ScoredTask",
    "SentenceOrder",
    "SpanCorruption",
    "Summarisation",
    "Task",
    "TaskConfig",
    "TaskField",
    "Text",
    "TextClassification",
    "TextTask",
    "TokenClassification",
    "Totals",
    "Translation",
    "VisualQuestionAnswering",
    "WordAnalogy",
    "WordSimilarity",
    "WritingTask",
    "load_member",
    "load_task",
    "new_task",
    "read_settings",
    "task_type",
]
