"""One of several tasks that a recipe trains together: what it reads, and what it learns of it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import StringConstraints, field_validator, model_validator

from wenlu.config import Config
from wenlu.corpus.prepare import DataConfig
from wenlu.tasks import LABELLED_TASKS, ReadingTask, TaskConfig, TaskField, task_type
from wenlu.tasks.labelled import LabelledConfig
from wenlu.tasks.labelled.reading import ReadingConfig

MemberName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=40)]
"""Names a folder, and stands in front of a score's name."""


class Member(Config):
    """The section `[members.NAME]`: `task` and `data` as in a recipe of its own."""

    task: TaskField
    data: DataConfig

    @model_validator(mode="before")
    @classmethod
    def _columns(cls, values: Any) -> Any:
        return with_columns(values) if isinstance(values, dict) else values

    @field_validator("task")
    @classmethod
    def _has_a_head(cls, value: TaskConfig) -> TaskConfig:
        if not issubclass(task_type(value.name), ReadingTask):
            able = ", ".join(task.name for task in LABELLED_TASKS if issubclass(task, ReadingTask))
            raise ValueError(
                f"{value.name} has no head of its own beside which others share the model; take one of {able}"
            )
        if isinstance(value, ReadingConfig) and value.is_own:
            raise ValueError(f'pooling="own": the head of {value.name} would stand in the model that others share')
        return value


def with_columns(values: dict[str, Any]) -> dict[str, Any]:
    """Columns stand in `[data]`, where users look for them, and belong to the task: `data.label="sentiment"`."""
    data = values.get("data")
    if not isinstance(data, dict):
        return values
    task = values.get("task")
    table = {"name": task} if isinstance(task, str) else task
    columns = {name: data[name] for name in _roles(table) if name in data}
    if not columns:
        return values
    rest = {key: value for key, value in data.items() if key not in columns}
    assert isinstance(table, dict), "a task with roles has a name"
    return {**values, "data": rest, "task": {**table, "columns": {**table.get("columns", {}), **columns}}}


def _roles(task: Any) -> list[str]:
    """What an example of a labelled task is made of; nothing for others, and for what is no task."""
    name = task.get("name") if isinstance(task, dict) else None
    try:
        settings = task_type(name).settings if isinstance(name, str) else TaskConfig
    except ValueError:  # which the field `task` says better
        return []
    return [role.name for role in settings.roles] if issubclass(settings, LabelledConfig) else []
