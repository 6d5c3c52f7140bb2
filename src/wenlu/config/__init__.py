"""Settings: load, override, check, describe."""

from wenlu.config.base import Config
from wenlu.config.dump import json_schema, to_toml
from wenlu.config.duration import Duration, DurationField, parse_duration
from wenlu.config.load import check, did_you_mean, load, override, read_toml

__all__ = [
    "Config",
    "Duration",
    "DurationField",
    "check",
    "did_you_mean",
    "json_schema",
    "load",
    "override",
    "parse_duration",
    "read_toml",
    "to_toml",
]
