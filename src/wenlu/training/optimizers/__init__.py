"""Optimizers, one a file; a row each in `OPTIMIZERS`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny, ValidationError, WithJsonSchema

from wenlu.config import did_you_mean
from wenlu.training.optimizers.adafactor import AdafactorConfig
from wenlu.training.optimizers.adam import AdamConfig
from wenlu.training.optimizers.adamw import AdamWConfig
from wenlu.training.optimizers.config import OptimizerConfig
from wenlu.training.optimizers.lion import LionConfig
from wenlu.training.optimizers.muon import MuonConfig
from wenlu.training.optimizers.optimizer import Optimizer
from wenlu.training.optimizers.schedule_free import ScheduleFreeConfig
from wenlu.training.optimizers.sgd import SGDConfig

OPTIMIZERS: tuple[type[OptimizerConfig], ...] = (
    AdafactorConfig,
    AdamConfig,
    AdamWConfig,
    LionConfig,
    MuonConfig,
    ScheduleFreeConfig,
    SGDConfig,
)
_BY_NAME: dict[str, type[OptimizerConfig]] = {row.model_fields["name"].default: row for row in OPTIMIZERS}


def read_optimizer(value: object) -> OptimizerConfig:
    """Settings from a table; without a `name` those of AdamW. Raises ValueError that names the key."""
    match value:
        case OptimizerConfig():
            return value
        case dict():
            table: dict[str, Any] = {"name": "adamw", **value}
        case _:
            raise ValueError(f'give a table: {{name = "adamw", lr = 1e-3}}, not {value!r}')
    row = _BY_NAME.get(str(table["name"]))
    if row is None:
        raise ValueError(f"name: no optimizer {table['name']!r}; {did_you_mean(str(table['name']), _BY_NAME)}")
    try:
        return row.model_validate(table)
    except ValidationError as error:
        name = str(table["name"])
        raise ValueError("; ".join(_complaint(row, name, details) for details in error.errors())) from error


def _complaint(row: type[OptimizerConfig], name: str, details: Any) -> str:
    key = ".".join(map(str, details["loc"]))
    if details["type"] == "extra_forbidden":
        users = [other for other, config in _BY_NAME.items() if key in config.model_fields]
        if users:
            return (
                f"{key}: {name} does not use it ({', '.join(users)}: yes); remove it, or replace the whole "
                f"section: 'optimizer={{name=\"{name}\"}}'"
            )
        return f"{key}: unknown key; {did_you_mean(key, row.model_fields)}"
    message = details["msg"].removeprefix("Value error, ")
    message = f"{key}: " * bool(key) + message[:1].lower() + message[1:]
    return message if details["type"] == "value_error" else f"{message}, not {details['input']!r}"


_SCHEMA = {"anyOf": [row.model_json_schema() for row in OPTIMIZERS]}

OptimizerField = Annotated[OptimizerConfig, BeforeValidator(read_optimizer), SerializeAsAny(), WithJsonSchema(_SCHEMA)]
"""A settings field: one of the optimizers."""

__all__ = [
    "OPTIMIZERS",
    "AdamWConfig",
    "MuonConfig",
    "Optimizer",
    "OptimizerConfig",
    "OptimizerField",
    "read_optimizer",
]
