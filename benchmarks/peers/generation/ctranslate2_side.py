"""CTranslate2 with weights of eight bits: `ctranslate2_side.py FOLDER THREADS`, a folder that its converter made."""

from __future__ import annotations

import sys
import time

import ctranslate2
from turns import serve


class CTranslate2:
    def __init__(self, folder: str, threads: int) -> None:
        self.engine = ctranslate2.Generator(folder, device="cpu", intra_threads=threads, inter_threads=1)
        with open(f"{folder}/vocabulary.json", encoding="utf-8") as file:
            import json

            self.words: list[str] = json.load(file)

    def seconds(self, prompts: list[list[int]], tokens: int) -> float:
        words = [[self.words[token] for token in prompt] for prompt in prompts]
        begin = time.perf_counter()
        found = self.engine.generate_batch(
            words,
            max_batch_size=0,
            sampling_topk=1,
            min_length=tokens,
            max_length=tokens,
            include_prompt_in_result=False,
        )
        taken = time.perf_counter() - begin
        assert all(len(each.sequences_ids[0]) == tokens for each in found)
        return taken

    def prefill(self, ids: list[int]) -> float:
        return self.seconds([ids], 1)

    def decode(self, prompts: list[list[int]], tokens: int) -> float:
        return self.seconds(prompts, tokens + 1) - self.seconds(prompts, 1)

    def score(self, ids: list[int]) -> list[float]:
        found = self.engine.score_batch([[self.words[token] for token in ids]])[0]
        return [-value for value in found.log_probs]


if __name__ == "__main__":
    serve(CTranslate2(sys.argv[1], int(sys.argv[2])))
