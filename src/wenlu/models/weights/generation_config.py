"""generation_config.json: where answers of a checkpoint end, and how it means to be sampled from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wenlu.errors import WeightsError
from wenlu.models.weights.files import read_json
from wenlu.rundir.atomic import write_text

FILE = "generation_config.json"
_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")
_OLDER = (
    "bad_words_ids",
    "begin_suppress_tokens",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "min_length",
    "no_repeat_ngram_size",
    "suppress_tokens",
)
"""What stood in config.json before there was this file."""


def read_generation_config(folder: Path) -> dict[str, Any]:
    """What the file says; where there is none, what an older config.json forbids and forces in its place.

    Raises WeightsError for ids that are none.
    """
    path = folder / FILE
    if not path.exists():
        config = read_json(folder / "config.json")
        return {name: config[name] for name in _OLDER if config.get(name) is not None}
    content = read_json(path)
    for name in _TOKENS:
        for number in ids_of(content.get(name)):
            if type(number) is not int or number < 0:
                raise WeightsError(f"{path}: {name} is {content[name]!r:.80}, not the id of a token")
    return content


def write_generation_config(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the file; what is None is left out."""
    kept = {name: value for name, value in content.items() if value is not None}
    write_text(folder / FILE, json.dumps(kept, indent=2, ensure_ascii=False) + "\n")


def ids_of(value: Any) -> list[Any]:
    """Hugging Face writes one id, or several as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]
