"""The section `[check]` of a recipe: whether training is preceded by the checks of `wenlu check`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, PositiveFloat, field_validator

from wenlu.config import Config, did_you_mean

OF_DATA = ("duplicates", "label-balance", "label-conflicts", "leakage", "trained-tokens", "truncation", "vocabulary")
"""Checks of the data, about which their owner may know more."""


class CheckConfig(Config):
    """Before training: will it learn? `check = false` leaves it out.

    Attributes:
        fail: a failure stops before training; with false it is told and training goes on.
        accepts: names of checks of the data whose failure is known, as where published parts share examples: told as
            warnings, by which training is not stopped.
        seconds: that eight examples may take at most to be learnt by heart, with each optimizer that is tried.
    """

    enabled: bool = True
    fail: bool = True
    accepts: tuple[str, ...] = ()
    seconds: PositiveFloat = 2.0

    @field_validator("accepts")
    @classmethod
    def _of_the_data(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in OF_DATA:
                raise ValueError(f"{name!r} is no check of the data; {did_you_mean(name, OF_DATA)}")
        return value


def _read(value: Any) -> Any:
    return {"enabled": value} if isinstance(value, bool) else value


CheckField = Annotated[CheckConfig, BeforeValidator(_read)]
"""A settings field: the section, or false for none of it."""
