"""Hugging Face generate in bfloat16: `transformers_side.py FOLDER THREADS`."""

from __future__ import annotations

import sys
import time

import torch
from transformers import AutoModelForCausalLM
from turns import serve


class HuggingFace:
    def __init__(self, folder: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()

    def seconds(self, prompts: list[list[int]], tokens: int) -> float:
        ids = torch.tensor(prompts)
        begin = time.perf_counter()
        with torch.inference_mode():
            found = self.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                do_sample=False,
                pad_token_id=0,
            )
        assert found.shape[1] == ids.shape[1] + tokens
        return time.perf_counter() - begin

    def prefill(self, ids: list[int]) -> float:
        return self.seconds([ids], 1)

    def decode(self, prompts: list[list[int]], tokens: int) -> float:
        return self.seconds(prompts, tokens + 1) - self.seconds(prompts, 1)

    def score(self, ids: list[int]) -> list[float]:
        with torch.inference_mode():
            logits = self.model(torch.tensor([ids])).logits[0, :-1].double()
        nats = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")
        return nats.tolist()


if __name__ == "__main__":
    serve(HuggingFace(sys.argv[1], int(sys.argv[2])))
