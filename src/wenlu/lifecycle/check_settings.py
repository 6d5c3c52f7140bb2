"""The section `[check]` of a recipe: whether training is preceded by the checks of `wenlu check`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, PositiveFloat

from wenlu.config import Config


class CheckConfig(Config):
    """Before training: will it learn? `check = false` leaves it out.

    Attributes:
        fail: a failure stops before training; with false it is told and training goes on.
        seconds: that eight examples may take at most to be learnt by heart, with each optimizer that is tried.
    """

    enabled: bool = True
    fail: bool = True
    seconds: PositiveFloat = 2.0


def _read(value: Any) -> Any:
    return {"enabled": value} if isinstance(value, bool) else value


CheckField = Annotated[CheckConfig, BeforeValidator(_read)]
"""A settings field: the section, or false for none of it."""
