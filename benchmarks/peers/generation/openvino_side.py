"""OpenVINO GenAI: `openvino_side.py FOLDER THREADS`, a folder that `optimum-cli export openvino` made.

Its continuous batching, which is its fastest for several texts, takes one text as well. It gives no logits of a prompt,
so it scores no text.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import openvino
import openvino_genai as genai
from turns import serve


class OpenVINO:
    def __init__(self, folder: str, threads: int) -> None:
        options = {"INFERENCE_NUM_THREADS": threads, "SCHEDULING_CORE_TYPE": "ANY_CORE"}
        self.engine = genai.LLMPipeline(folder, "CPU", **options)

    def seconds(self, prompts: list[list[int]], tokens: int) -> float:
        ids = np.array(prompts, dtype=np.int64)
        inputs = genai.TokenizedInputs(openvino.Tensor(ids), openvino.Tensor(np.ones_like(ids)))
        config = genai.GenerationConfig(
            max_new_tokens=tokens, min_new_tokens=tokens, ignore_eos=True, do_sample=False, apply_chat_template=False
        )
        begin = time.perf_counter()
        found = self.engine.generate(inputs, config)
        taken = time.perf_counter() - begin
        assert all(len(row) == tokens for row in found.tokens)
        return taken

    def prefill(self, ids: list[int]) -> float:
        return self.seconds([ids], 1)

    def decode(self, prompts: list[list[int]], tokens: int) -> float:
        return self.seconds(prompts, tokens + 1) - self.seconds(prompts, 1)


if __name__ == "__main__":
    serve(OpenVINO(sys.argv[1], int(sys.argv[2])))
