"""Write resolved settings as TOML, and describe a settings class as JSON Schema."""

from __future__ import annotations

from typing import Any

import tomli_w

from wenlu.config.base import Config


def to_toml(config: Config) -> str:
    """The settings as TOML text that `load` reads back to an equal object; `None` is left out."""
    return tomli_w.dumps(_without_none(config.model_dump(mode="json")))


def json_schema(schema: type[Config]) -> dict[str, Any]:
    """JSON Schema (2020-12) of a settings class, for editors and forms."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema.model_json_schema()}


def _without_none(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_none(item) for key, item in value.items() if item is not None}
        case list():
            return [_without_none(item) for item in value]
        case _:
            return value
