"""The parent of every settings class."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Frozen settings, kept beside the thing that they configure; an unknown key is an error.

    A field without a default is required. `"auto"` lets the program choose; the choice is written to the
    run's `config.toml`. `None` means "none", never "choose for me".
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())
