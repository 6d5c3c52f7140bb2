"""The section `[plan]` of a recipe: what it may take of this machine, and how long may be measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from wenlu.config import Config


class PlanConfig(Config):
    """Limits that `wenlu plan` finds the cheapest change for."""

    memory_gigabytes: PositiveFloat | Literal["auto"] = "auto"
    """Of main memory; "auto": what is free, and what the process has already."""
    disk_gigabytes: PositiveFloat | Literal["auto"] = "auto"
    """For the run; "auto": what is free where it will be."""
    minutes: PositiveFloat | None = None
    """Of training; none: it may take as long as it takes."""
    probe_seconds: Annotated[float, Field(gt=0, le=20)] = 8.0
    """For steps; one that was begun is ended, and a look and a checkpoint come on top: by default under 20 in all."""
