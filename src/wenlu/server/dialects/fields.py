"""A request's fields: what is not known or not done is refused by name, nothing is dropped in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from wenlu.config import did_you_mean
from wenlu.server.http.errors import ApiError

IGNORED = "x-ignored-params"
ANY: tuple[Any, ...] = ()


class Part(BaseModel):
    """A part of a request; a field that it has not is an error, so is a value of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


class Asked(Part):
    """A whole request. `null` of one of its fields is as if it were not there.

    Attributes:
        ignored: fields that change nothing here, with the values that are true of this server anyway; `ANY`: all.
        refused: fields that would change the answer if they were done, and why they are not or what does it here.
    """

    ignored: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType({})
    refused: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> tuple[Self, dict[str, str]]:
        """The request, and the header that tells what was ignored of it; raises ApiError."""
        given = {name: value for name, value in body.items() if value is not None}
        for name in given:
            if name in cls.refused:
                raise refused(name, f"{name} is not supported: {cls.refused[name]}")
        ignored = [name for name in given if name in cls.ignored]
        for name in ignored:
            value, allowed = given.pop(name), cls.ignored[name]
            if allowed and value not in allowed:
                known = " or ".join(map(repr, allowed))
                raise refused(name, f"{name} is {shown(value)}, which is not supported; it can be {known}")
        try:
            asked = cls.model_validate(given)
        except ValidationError as error:
            raise _refusal(cls, given, error) from error
        return asked, ({IGNORED: ", ".join(ignored)} if ignored else {})

    @classmethod
    def known(cls) -> list[str]:
        """The fields that can be given."""
        return [*cls.model_fields, *cls.ignored]


def refused(param: str | None, message: str, *, code: str = "unsupported_parameter") -> ApiError:
    """A field that cannot be done."""
    return ApiError(400, message, param=param, code=code)


def wrong(param: str | None, message: str) -> ApiError:
    """A field with a value that it cannot have."""
    return ApiError(400, message if param is None else f"{param}: {message}", param=param, code="invalid_value")


def shown(value: object) -> str:
    """A value for a message, not all of a long one."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


@contextmanager
def told_as(names: Mapping[str, str], prompt: str) -> Iterator[None]:
    """Name in what is refused the client's own fields.

    Args:
        names: of fields of the internal request, or of what they begin with, to those of the dialect.
        prompt: the field that is too long where the context is exceeded.
    """
    try:
        yield
    except ApiError as error:
        if error.param is not None:
            error.param = _renamed(error.param, names)
        elif error.code == "context_length_exceeded":
            error.param = prompt
        raise


def _renamed(param: str, names: Mapping[str, str]) -> str:
    parts = param.split(".")
    for length in range(len(parts), 0, -1):
        known = names.get(".".join(parts[:length]))
        if known is not None:
            return ".".join([known, *parts[length:]])
    return param.removeprefix("rules.")


def _refusal(schema: type[Asked], body: Mapping[str, Any], error: ValidationError) -> ApiError:
    """The problem that was found last: of the members of a union, that of the one which was meant."""
    found = [(_place(body, details["loc"]), details) for details in error.errors(include_url=False)]
    place, details = max(found, key=lambda one: _progress(*one))
    param = ".".join(map(str, place))
    if details["type"] == "extra_forbidden":
        word = str(place[-1])
        hint = did_you_mean(word, schema.known()) if len(place) == 1 else "it is not known here"
        return refused(param, f"{param}: unknown parameter; {hint}", code="unknown_parameter")
    if details["type"] == "missing":
        return ApiError(400, f"{param} is required", param=param, code="missing_required_parameter")
    message = details["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if details["type"] not in ("value_error", "too_short", "too_long"):
        message += f", not {shown(details['input'])}"
    return wrong(param, message)


def _progress(place: tuple[int | str, ...], details: Mapping[str, Any]) -> tuple[int, bool, int]:
    """How much was right before a problem: depth, then a type that fitted, then the items before it."""
    last = place[-1] if place else ""
    return len(place), not details["type"].endswith("_type"), last if isinstance(last, int) else 0


def _place(body: Any, location: Sequence[int | str]) -> tuple[int | str, ...]:
    """`location` without the names of union members that pydantic puts between."""
    place: list[int | str] = []
    value = body
    for number, part in enumerate(location):
        is_key = isinstance(value, dict) and part in value
        if is_key or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            value = value[part]
        elif not (isinstance(value, dict) and number == len(location) - 1):
            continue
        place.append(part)
    return tuple(place)
