"""A config.json of any bytes is read, and its model outlined, or refused with a WeightsError."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["wenlu.models.weights.layout", "wenlu.models.layers.rope", "wenlu.config"]):
    from wenlu.models.weights import read_config

from seeds import fuzz, model_folder

from wenlu.errors import WeightsError
from wenlu.models import FAMILIES


def target(work: Path, data: bytes) -> None:
    (work / "config.json").write_bytes(data)
    with contextlib.suppress(WeightsError):
        family, config = read_config(work)
        if getattr(config, "num_hidden_layers", 1) < 8:  # more would only take longer
            family.outline(config)


def seeds(work: Path) -> list[bytes]:
    """A Llama's config, and the same under each other name that a config may have."""
    content = json.loads((model_folder(work) / "config.json").read_text())
    types = [name for family in FAMILIES for name in family.hf_types or (family.name,)]
    return [json.dumps({**content, "model_type": name}).encode() for name in types]


if __name__ == "__main__":
    fuzz(seeds, target)
