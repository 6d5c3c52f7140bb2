"""Sound files that the fuzzers damage, and how a fuzzer is run; used by the programs beside it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

from wenlu.models import family
from wenlu.models.weights import save_model
from wenlu.models.weights.gguf import write_gguf
from wenlu.tokenizers import TokenizerConfig, train_tokenizer

LLAMA = family("llama")


def model_folder(folder: Path) -> Path:
    """A small Llama in Hugging Face's layout."""
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    save_model(folder, LLAMA.build(LLAMA.config(vocab_size=262, **sizes)), LLAMA)
    return folder


def gguf_file(folder: Path) -> Path:
    """The same with a byte-level tokenizer, as GGUF."""
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=262, pattern="gpt2"), ["low lower lowest"] * 5)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    path = folder / "seed.gguf"
    write_gguf(path, LLAMA.build(LLAMA.config(vocab_size=262, **sizes)), LLAMA, tokenizer, chat_template="{{ a }}")
    return path


def fuzz(seeds: Callable[[Path], list[bytes]], target: Callable[[Path, bytes], None]) -> None:
    """Run `target` on what libFuzzer makes of the seeds, with its options from the command line.

    Anything that `target` raises is a finding, and ends the program with its status.
    """
    with tempfile.TemporaryDirectory() as name:
        corpus, work = Path(name) / "corpus", Path(name) / "work"
        corpus.mkdir()
        work.mkdir()
        for number, seed in enumerate(seeds(work)):
            (corpus / str(number)).write_bytes(seed)
        options = [*sys.argv, "-max_len=65536", "-rss_limit_mb=3000", "-timeout=20", str(corpus)]
        atheris.Setup(options, lambda data: target(work, data))
        atheris.Fuzz()
