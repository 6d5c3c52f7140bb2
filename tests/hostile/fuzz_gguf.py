"""A GGUF file of any bytes loads, with its tokenizer, or is refused with a WeightsError."""

from __future__ import annotations

import contextlib
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["wenlu.models.weights.gguf", "wenlu.tokenizers.gguf"]):
    from wenlu.models.weights.gguf import load_gguf
    from wenlu.tokenizers.gguf import tokenizer_of

from seeds import fuzz, gguf_file

from wenlu.errors import WeightsError


def target(work: Path, data: bytes) -> None:
    path = work / "m.gguf"
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    with contextlib.suppress(WeightsError):
        header = load_gguf(path)[2]
        tokenizer_of(header.metadata, where=str(path)).encode("low <|endoftext|>")


if __name__ == "__main__":
    fuzz(lambda work: [gguf_file(work).read_bytes()], target)
