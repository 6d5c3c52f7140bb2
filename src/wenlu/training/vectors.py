"""Begin with an embedding that knows words: a token that is a word gets the vector that was trained for it."""

from __future__ import annotations

import numpy as np
import torch

from wenlu.errors import DataError, UsageError
from wenlu.models import LanguageModel
from wenlu.models.vectors import WordVectors
from wenlu.tokenizers import Tokenizer


def check_vectors_start(model: LanguageModel, vectors: WordVectors, *, name: str) -> None:
    """Raise UsageError where the embedding has another width than the vectors called `name`."""
    width = model.get_parameter("embed_tokens.weight").shape[1]
    if vectors.dimensions != width:
        raise UsageError(
            f'train.start="vectors": {name} has {vectors.dimensions} dimensions, the embedding {width}; set the '
            f"model's size to {vectors.dimensions}, or train vectors with vectors.size={width}"
        )


@torch.no_grad()
def start_from_vectors(model: LanguageModel, tokenizer: Tokenizer, vectors: WordVectors, *, name: str) -> int:
    """Set rows of `embed_tokens`, in place: those of tokens that are words, whatever spaces stand around them.

    The vectors are scaled to the spread of the embedding as it was drawn; the other rows stay. A token that is no
    word as it is written is looked up in lower case.

    Returns:
        How many tokens got a vector.

    Raises DataError where none does.
    """
    embedding = model.get_parameter("embed_tokens.weight")
    tokens, rows = [], []
    for token in range(tokenizer.vocab_size):
        text = tokenizer.decode([token]).strip()
        word = next((form for form in (text, text.lower()) if form in vectors), None)
        if word is not None:
            tokens.append(token)
            rows.append(vectors.vector(word))
    if not tokens:
        raise DataError(
            f'train.start="vectors": none of the {tokenizer.vocab_size:,} tokens is among the {len(vectors):,} words '
            f"of {name}; are both of one language, and the tokens words rather than characters?"
        )
    found = torch.from_numpy(np.stack(rows)).to(embedding)
    spread = found.std(correction=0)
    embedding[torch.tensor(tokens)] = found * (embedding.std(correction=0) / spread) if spread > 0 else found
    return len(tokens)
