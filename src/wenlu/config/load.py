"""Read settings: TOML file, dotted overrides, validation with messages that name the key."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from wenlu.config.base import Config
from wenlu.errors import ConfigError

C = TypeVar("C", bound=Config)
Settings = dict[str, Any]
NESTED = ("members", "chapters")
"""The sections whose entries have sections of their own: `members.NAME.data.train=FILE`."""


def load(schema: type[C], path: Path, overrides: Sequence[str] = ()) -> C:
    """Read `path` as `schema`, after the `KEY=VALUE` overrides; raises ConfigError."""
    return check(schema, override(read_toml(path), overrides), where=str(path))


def read_toml(path: Path) -> Settings:
    """The tables of a TOML file; raises ConfigError with the line of a syntax error."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such settings file; recipes/ has some to start from") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path}: a folder, not a settings file (TOML)") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from error
    except PermissionError as error:
        raise ConfigError(f"{path}: no permission to read it") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def override(settings: Settings, overrides: Iterable[str]) -> Settings:
    """A copy of `settings` with each `section.key=value` set; a value that is not TOML is a string."""
    result = {key: dict(value) if isinstance(value, dict) else value for key, value in settings.items()}
    for item in overrides:
        name, equals, text = item.partition("=")
        keys = name.strip().split(".")
        if not equals or not all(keys):
            raise ConfigError(f"override {item!r}: write KEY=VALUE, for example optimizer.lr=1e-3")
        if keys[0] in NESTED and len(keys) > 2:
            entries = result.get(keys[0])
            own = entries.get(keys[1]) if isinstance(entries, dict) else None
            if not isinstance(entries, dict) or not isinstance(own, dict):
                known = did_you_mean(keys[1], entries) if entries else "the settings have no such section"
                raise ConfigError(f"override {item!r}: no {keys[0]}.{keys[1]}; {known}")
            entries[keys[1]] = override(own, [f"{'.'.join(keys[2:])}={text}"])
            continue
        if len(keys) > 2:
            raise ConfigError(f"override {item!r}: settings are at most two levels deep (section.key)")
        table = result
        if len(keys) == 2:
            table = result.setdefault(keys[0], {})
            if not isinstance(table, dict):
                raise ConfigError(f"override {item!r}: {keys[0]} is a single value, not a section")
        table[keys[-1]] = _value(text)
    return result


def check(schema: type[C], settings: Settings, *, where: str) -> C:
    """Validate `settings`; raises ConfigError that lists every wrong key, headed by `where`."""
    try:
        return schema.model_validate(settings)
    except ValidationError as error:
        wrong = [details for details in error.errors() if details["type"] != "default_factory_not_called"]
        lines = [f"  {_line(schema, details)}" for details in wrong]
        raise ConfigError("\n".join([f"{where}:", *lines])) from error


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint to append to a message: the nearest known word, else all of them."""
    choices = sorted(known)
    close = get_close_matches(word, choices, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(choices)}"


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _line(schema: type[BaseModel], details: Any) -> str:
    location: tuple[int | str, ...] = details["loc"]
    name = ".".join(str(part) for part in location) or "settings"
    kind = details["type"]
    if kind == "extra_forbidden":
        return f"{name}: unknown key; {did_you_mean(str(location[-1]), _fields(schema, location[:-1]))}"
    if kind == "missing":
        return f"{name}: required, but not set"
    message = details["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if kind in ("value_error", "assertion_error"):
        return f"{name}: {message}"
    return f"{name}: {message}, not {details['input']!r}"


def _fields(schema: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The keys known at `location`, for a suggestion."""
    for part in location:
        field = schema.model_fields.get(str(part))
        inner = _model_in(field.annotation) if field else None
        if inner is not None:
            schema = inner
    return list(schema.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, Annotated, list, tuple):
        return next(filter(None, map(_model_in, get_args(annotation))), None)
    return None
