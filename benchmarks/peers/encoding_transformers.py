"""Vectors of sentences by transformers, as the model's card shows it, but sorted by length into batches of 32."""

from __future__ import annotations

import numpy as np
import torch
from sentences import BASE, arguments, take_turns
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer

from wenlu.bundle import model_path

BATCH = 32


def main() -> None:
    given = arguments()
    folder = model_path(BASE)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=getattr(torch, given.dtype)).eval()

    @torch.inference_mode()
    def embed(texts: list[str]) -> np.ndarray:
        vectors = np.empty((len(texts), model.config.hidden_size), np.float32)
        order = np.argsort([-len(text) for text in texts])
        for start in range(0, len(texts), BATCH):
            places = order[start : start + BATCH]
            batch = tokenizer([texts[place] for place in places], padding=True, truncation=True, return_tensors="pt")
            hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None].to(hidden.dtype)
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            vectors[places] = normalize(mean.float(), dim=1).numpy()
        return vectors

    take_turns(given, embed)


if __name__ == "__main__":
    main()
