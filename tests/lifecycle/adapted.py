"""What the tests of adapted runs share: tiny bases, and recipes that learn an adapter beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import wenlu
from wenlu.bundle import Bundle
from wenlu.lifecycle.model_folder import write_bundle
from wenlu.models import family
from wenlu.tokenizers import ROLE_TOKENS, TokenizerConfig, train_tokenizer

RECIPE = """
name = "tiny"
check = false

[task]
name = "{task}"

[data]
train = "{train}"
test = "{test}"
split_by = "random"
steps = ["repair"]
validation = 0.1
workers = 1

[model]
base = "{base}"

[adapter]
rank = 4
{adapter}

[train]
duration = "6 steps"
context = 64
batch_size = 4
validations = 1
checkpoints = 1
dtype = "float32"
threads = 1
allocator = "as-is"

[optimizer]
lr = 2e-2

[evaluate]
resamples = 100
generated = 3

[generate]
max_new_tokens = 6
"""
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "max_position_embeddings": 96,
    "initializer_range": 0.2,
}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_base(folder: Path, name: str, texts: list[str], seed: int = 0) -> None:
    """A tiny model with random weights and a tokenizer of its own."""
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=300, extra_special_tokens=ROLE_TOKENS), texts)
    row = family(name)
    torch.manual_seed(seed)
    model = row.build(row.config(vocab_size=tokenizer.vocab_size, **SIZES)).eval()
    folder.mkdir()
    write_bundle(folder, Bundle(model, tokenizer, None, model.config, folder), name="base", run=None, language="en")


@dataclass(frozen=True)
class Home:
    """Where the base and the runs of this file are."""

    folder: Path

    def recipe(self, name: str, task: str = "dialogue", base: str = "llama", adapter: str = "") -> Path:
        path = self.folder / f"{name}.toml"
        files = {part: self.folder / f"{task}-{part}.jsonl" for part in ("train", "test")}
        path.write_text(RECIPE.format(task=task, base=self.folder / base, adapter=adapter, **files), encoding="utf-8")
        return path

    def run(self, name: str, **settings: str) -> Path:
        out = self.folder / name
        if not out.exists():
            wenlu.finetune(self.recipe(name, **settings), out)
        return out
