"""Ways of augmentation, one a file; a row each in `WAYS`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny, ValidationError, WithJsonSchema

from wenlu.config import did_you_mean
from wenlu.corpus.augment.way import WayConfig, WayKind
from wenlu.corpus.augment.ways.aeda import WAY as AEDA
from wenlu.corpus.augment.ways.back_translation import WAY as BACK_TRANSLATION
from wenlu.corpus.augment.ways.eda import WAY as EDA
from wenlu.corpus.augment.ways.homophones import WAY as HOMOPHONES
from wenlu.corpus.augment.ways.masked_lm import WAY as MASKED_LM
from wenlu.corpus.augment.ways.shapes import WAY as SHAPES
from wenlu.corpus.augment.ways.typos import WAY as TYPOS

WAYS: tuple[WayKind, ...] = (EDA, AEDA, BACK_TRANSLATION, MASKED_LM, HOMOPHONES, SHAPES, TYPOS)


def way_kind(name: str) -> WayKind:
    """The row with this name; raises ValueError with the nearest one."""
    for kind in WAYS:
        if kind.name == name:
            return kind
    raise ValueError(f"no way {name!r}; {did_you_mean(name, [kind.name for kind in WAYS])}")


def read_way(value: object) -> WayConfig:
    """Settings of a way from its name alone or from a table with `way` and further keys; raises ValueError."""
    match value:
        case WayConfig():
            return value
        case str(name):
            table: dict[str, Any] = {"way": name}
        case {"way": str(name)}:
            table = {**value}  # type: ignore[dict-item]
        case _:
            raise ValueError(f'write a way as "eda" or as {{way = "eda", alpha = 0.1}}, not {value!r}')
    config = way_kind(name).config
    try:
        return config.model_validate(table)
    except ValidationError as error:
        raise ValueError("; ".join(_complaint(name, config, details) for details in error.errors())) from error


def _complaint(name: str, config: type[WayConfig], details: Any) -> str:
    key = ".".join(map(str, details["loc"]))
    where = f"{name}.{key}" if key else name
    if details["type"] == "extra_forbidden":
        return f"{where}: unknown key; {did_you_mean(key, config.model_fields)}"
    message = details["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return message if details["type"] == "missing" and not key else f"{where}: {message}"


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | dict | WayConfig) else value


_SCHEMA = {"anyOf": [{"enum": [kind.name for kind in WAYS]}, *(kind.config.model_json_schema() for kind in WAYS)]}

WayField = Annotated[WayConfig, BeforeValidator(read_way), SerializeAsAny(), WithJsonSchema(_SCHEMA)]
WayList = Annotated[tuple[WayField, ...], BeforeValidator(_as_list)]
"""A settings field: a list of ways, each its name or a table."""
