"""A safetensors file of any bytes is read whole, or refused with a WeightsError."""

from __future__ import annotations

import contextlib
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["wenlu.models.weights.files"]):
    from wenlu.models.weights.files import read_file

from seeds import fuzz, model_folder

from wenlu.errors import WeightsError


def target(work: Path, data: bytes) -> None:
    path = work / "model.safetensors"
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    with contextlib.suppress(WeightsError):
        for item in read_file(path).values():
            item.read()


if __name__ == "__main__":
    fuzz(lambda work: [(model_folder(work) / "model.safetensors").read_bytes()], target)
