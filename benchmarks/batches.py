"""What making batches costs beside computing on them: should a thread of its own make them?

    python benchmarks/batches.py [--quick]

For causal-lm and masked-lm, at the shape of recipes/tiny.toml and at 6 × 384: the median time of a step, and beside it
that of reading its rows, checking them and making tensors of them. Text is this Python's standard library.
"""

from __future__ import annotations

import argparse
import statistics
import sysconfig
import tempfile
import time
from pathlib import Path

import torch

from wenlu.corpus.shard_writer import write_tokens
from wenlu.corpus.shards import TokenData
from wenlu.models import family
from wenlu.tasks import Task, new_task, read_settings
from wenlu.tokenizers import TokenizerConfig, train_tokenizer
from wenlu.training import AdamWConfig, TrainConfig, TrainState
from wenlu.training.batches import Batches
from wenlu.training.train import accumulate

TASKS = {"causal-lm": "llama", "masked-lm": "modernbert"}
SHAPES = {"2 × 32": (2, 32, 64, 512), "6 × 384": (6, 384, 256, 4096)}
"""Layers, width, context, tokens of a step."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 steps in place of 20")
    steps = 3 if parser.parse_args().quick else 20
    paths = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    for name, model_family in TASKS.items():
        settings = read_settings({"name": name})
        config = TokenizerConfig(vocab_size=2048, extra_special_tokens=settings.special_tokens)
        tokenizer = train_tokenizer(config, texts)
        task = new_task(settings, tokenizer)
        with tempfile.TemporaryDirectory() as folder:
            data = write_tokens(texts, tokenizer, Path(folder) / "tokens")
            for shape in SHAPES:
                making, step = measure(task, model_family, data, shape, steps)
                print(f"{name}, {shape}: {1e3 * making:.2f} of {1e3 * step:.1f} ms a step ({making / step:.1%})")


def measure(task: Task, model_family: str, data: TokenData, shape: str, steps: int) -> tuple[float, float]:
    layers, width, context, tokens = SHAPES[shape]
    chosen = family(model_family)
    sizes = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers}
    own = {**sizes, "num_attention_heads": max(1, width // 64), **task.config.model_settings}
    torch.manual_seed(0)
    model = chosen.build(chosen.config(vocab_size=data.vocab_size, **own), dtype=torch.bfloat16)
    config = TrainConfig(context=context, global_batch_tokens=tokens)
    rows = task.rows(data, context)
    batches, state = Batches(rows, config.rows_per_step, seed=0), TrainState(model, AdamWConfig())
    making, whole = [], []
    for number in range(steps + 2):
        begin = time.perf_counter()
        for draw in batches.micro(number, config.rows_per_forward):
            task.batch(draw)
        made = time.perf_counter()
        totals = accumulate(state, task, batches, config)
        state.update(count=totals.count, factor=1.0, clip_norm=1.0)
        making.append(made - begin)
        whole.append(time.perf_counter() - made)
    return statistics.median(making[2:]), statistics.median(whole[2:])


if __name__ == "__main__":
    main()
