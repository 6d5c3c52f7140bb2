"""The clients that take longer, for `make proof-clients`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from tests.clients.conftest import Say

import wenlu

pytestmark = pytest.mark.skipif(os.environ.get("WENLU_PROOF") != "1", reason="make proof-clients runs it")

PAIRS = [
    ("The capital of France is", " Paris."),
    ("The capital of France is", " London."),
    ("中国的首都是", "北京。"),
    ("def add(a, b):\n    return", " a + b"),
    ("Emoji: 🙂", " 🎉🎉"),
]


def test_llama_index_reads_all_that_is_told(ask: Say) -> None:
    told = json.loads(ask("llama_index", "ask_llama_index.py"))
    assert told["chat"] == told["stream"] != ""
    assert told["logprobs"] == 6
    assert told["completion"] == told["streamed_completion"] != ""
    assert told["call"] == ["weather", ["city"]]
    assert told["patient"] == "at last"
    assert told["unknown"] == "NotFoundError"


def test_lm_eval_measures_the_loglikelihood_that_the_model_gives(ask: Say, model_file: Path) -> None:
    told = json.loads(ask("lm_eval", "ask_lm_eval.py", json.dumps(PAIRS)))
    bundle = wenlu.load(str(model_file))
    tokenizer = bundle.tokenizer
    assert told["tokenizer"] == "remote"
    assert told["end"] == tokenizer.eos_id
    assert "five" not in told["text"]
    for (context, continuation), (score, is_greedy) in zip(PAIRS, told["scores"], strict=True):
        begin, ids = len(tokenizer.encode(context)), tokenizer.encode(context + continuation)
        with torch.inference_mode():
            logprobs = bundle.model(torch.tensor([ids]))[0].log_softmax(-1)
        own = [logprobs[place - 1, ids[place]].item() for place in range(begin, len(ids))]
        best = [logprobs[place - 1].argmax().item() == ids[place] for place in range(begin, len(ids))]
        assert score == pytest.approx(sum(own), abs=1e-4)
        assert is_greedy == all(best)
