"""What all sides train on: the standard library of this Python; its encoding of 4,096 tokens is kept in `.make/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from sysconfig import get_paths

from wenlu.corpus.shard_writer import write_tokens
from wenlu.corpus.shards import TokenData
from wenlu.errors import DataError
from wenlu.tokenizers import TokenizerConfig, train_tokenizer

FOLDER = Path(".make/bench-train")
HELD_OUT = 16
"""Every so many-th module is kept to validate on."""


def prepare() -> Path:
    """The folder with `train` and `validation`, made where it is not there or of an older format."""
    try:
        TokenData.open(FOLDER / "validation")
    except DataError:
        tokenizer = train_tokenizer(TokenizerConfig(vocab_size=4096), modules(held_out=False))
        for name, held_out in (("train", False), ("validation", True)):
            write_tokens(modules(held_out=held_out), tokenizer, FOLDER / name)
    return FOLDER


def modules(*, held_out: bool) -> Iterator[str]:
    """Not those of `encodings`, which are much alike, nor tests and what is installed."""
    root = Path(get_paths()["stdlib"])
    foreign = {"test", "tests", "idle_test", "encodings", "site-packages"}
    paths = (path for path in sorted(root.rglob("*.py")) if not foreign & set(path.relative_to(root).parts))
    for number, path in enumerate(paths):
        if (number % HELD_OUT == 0) is held_out:
            yield path.read_text(encoding="utf-8", errors="replace")
