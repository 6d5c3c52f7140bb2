"""The recipe of compression, on a tiny model of fixed weights in float64, repeats its scores to the ninth digit.

`WENLU_RENEW_GOLDEN=1 python -m pytest tests/golden/test_compress.py` renews `compressed.json`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from tests.tasks.tiny import CHINESE, ENGLISH, NewTokenizer

from wenlu.bundle import Bundle
from wenlu.lifecycle.compressing.sweep import compress
from wenlu.lifecycle.model_folder import write_bundle
from wenlu.models import family
from wenlu.tasks import CausalLM

GOLDEN = Path(__file__).with_name("compressed.json")
RENEW = os.environ.get("WENLU_RENEW_GOLDEN") == "1"


def test_the_recipe_repeats_its_scores(new_tokenizer: NewTokenizer, tmp_path: Path) -> None:
    tokenizer = new_tokenizer()
    llama = family("llama")
    config = llama.config(
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    torch.manual_seed(7)
    bundle = Bundle(llama.build(config, dtype=torch.float64).eval(), tokenizer, CausalLM(), config, tmp_path)
    (tmp_path / "model").mkdir()
    write_bundle(tmp_path / "model", bundle, name="tiny", run=None, language="en")
    for name, texts in (("train", ENGLISH[:10] + CHINESE[:4]), ("test", ENGLISH[10:16] + CHINESE[4:6])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    swept = compress(
        "recipes/compress.toml",
        tmp_path / "out",
        [
            f"model={tmp_path / 'model'}",
            f"data.train={tmp_path / 'train.jsonl'}",
            f"data.test={tmp_path / 'test.jsonl'}",
            "compress.measure=false",
            "compress.accept_divergence=true",
            "evaluate.resamples=100",
        ],
    )
    found = {row.name: row.value for row in swept.rows}
    if RENEW:
        GOLDEN.write_text(json.dumps(found, indent=2) + "\n")
        pytest.skip("renewed")
    assert found == pytest.approx(json.loads(GOLDEN.read_text()), rel=1e-9)
