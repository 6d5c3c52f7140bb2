"""A base goes on with a language that its tokenizer spelt in bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import wenlu
from wenlu.errors import ConfigError
from wenlu.tokenizers import spelt

SETTINGS = [
    "check=false",
    "data.steps=[]",
    "data.split_by=random",
    "data.workers=1",
    "train.context=32",
    "train.batch_size=4",
    "train.validations=1",
    "train.checkpoints=1",
    "train.dtype=float64",
    "train.threads=1",
    "train.allocator=as-is",
    "evaluate.resamples=100",
]
BASE = """
name = "base"
data.train = "{train}"
train.duration = "3 steps"
tokenizer.vocab_size = 268

[model]
family = "llama"
hidden_size = 32
intermediate_size = 64
num_attention_heads = 2
num_hidden_layers = 1
"""


def test_new_tokens_begin_as_the_mean_of_what_spelt_them(tmp_path: Path) -> None:
    for name, line in (("en", "the cat sat on the mat. the dog sat."), ("zh", "床前明月光，疑是地上霜。举头望明月")):
        (tmp_path / f"{name}.jsonl").write_text(
            "".join(json.dumps({"text": f"{line} {n}", "id": f"{n}"}) + "\n" for n in range(40)), encoding="utf-8"
        )
    (tmp_path / "base.toml").write_text(BASE.format(train=tmp_path / "en.jsonl"))
    wenlu.pretrain(tmp_path / "base.toml", tmp_path / "base", SETTINGS)
    recipe, train = Path("recipes/extend.toml"), f"data.train={tmp_path / 'zh.jsonl'}"
    given = [*SETTINGS, train, f"model.base={tmp_path / 'base'}", "tokenizer.extend_by=12"]
    wenlu.finetune(recipe, tmp_path / "run", [*given, "train.duration=1 steps", "optimizer.lr=1e-12"])
    told = json.loads((tmp_path / "run" / "extension.json").read_text())
    assert told["added"] == 12
    assert told["tokens_per_character"] < told["tokens_per_character_before"]
    base, found = wenlu.load(tmp_path / "base"), wenlu.load(tmp_path / "run")
    assert found.tokenizer.vocab_size == base.tokenizer.vocab_size + 12
    before, after = (bundle.model.get_parameter("embed_tokens.weight") for bundle in (base, found))
    pieces = spelt(found.tokenizer, base.tokenizer)
    assert len(pieces) == 12
    for token, ids in pieces.items():
        torch.testing.assert_close(after[token], before[ids].mean(dim=0), atol=1e-6, rtol=0)
    torch.testing.assert_close(after[: len(before)], before, atol=1e-6, rtol=0)
    with pytest.raises(ConfigError, match=r"tokenizer\.extend_by: adds to the tokenizer of a base; name it in model"):
        wenlu.pretrain(tmp_path / "base.toml", tmp_path / "no", [*SETTINGS, "tokenizer.extend_by=12"])
