"""One training to a time: a side of `benchmarks/quality.py`, which prints its validation loss in bits per byte."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from peers.compiled_loop import GPT, Loop
from peers.trainer import Rows, model_of
from peers.turns import SHAPES, Blocks
from transformers import Trainer, TrainingArguments

from wenlu.config import Duration, load
from wenlu.corpus.shards import TokenData
from wenlu.kernels.native import use_pool
from wenlu.lifecycle.recipe import Recipe
from wenlu.rundir import Run
from wenlu.tasks import CausalLM
from wenlu.training import TrainData, choose_dtype, resolve_duration, start_from_bigrams, train

SHAPE = SHAPES["small"]
RECIPE = Path(__file__).parents[2] / "recipes" / "quickstart.toml"
WARM_UP = 0.05
"""Of the steps, as linear warm-up of the loop; then a cosine to a tenth of the peak."""

TIMED, VALIDATED = 10, 128


def with_loop(text: Path, seconds: float, lr: float, seed: int) -> dict[str, float]:
    """The compiled loop; compiling is not counted."""
    loop = Loop(SHAPE, Blocks(text / "train", SHAPE.context), lr=0.0, seed=seed)
    for _ in range(3):
        loop.step()
    begin = time.perf_counter()
    for _ in range(TIMED):
        loop.step()
    steps = int(seconds / (time.perf_counter() - begin) * TIMED)
    warm_up = max(1, int(WARM_UP * steps))
    begin = time.perf_counter()
    for step in range(steps):
        down = (1 + math.cos(math.pi * max(0, step - warm_up) / max(1, steps - warm_up))) / 2
        rate = lr * min(1.0, (step + 1) / warm_up) * (0.1 + 0.9 * down)
        for group in loop.optimizer.param_groups:
            group["lr"] = rate
        loop.step()
    took = time.perf_counter() - begin
    return {"bits_per_byte": measured(loop.plain, text, _loss_of_loop), "seconds": took, "steps": steps}


def with_trainer(text: Path, seconds: float, seed: int) -> dict[str, float]:
    """Hugging Face's Trainer with its own rate and schedule, its steps counted so that they take the time."""

    def trainer(steps: int, folder: str) -> Trainer:
        torch.manual_seed(seed)
        arguments = TrainingArguments(
            output_dir=folder,
            use_cpu=True,
            bf16=True,
            per_device_train_batch_size=SHAPE.rows,
            max_steps=steps,
            seed=seed,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        rows = Rows(Blocks(text / "train", SHAPE.context))
        return Trainer(model=model_of(SHAPE), args=arguments, train_dataset=rows)

    with TemporaryDirectory() as folder:
        trainer(3, folder).train()
        begin = time.perf_counter()
        trainer(TIMED, folder).train()
        steps = int(seconds / (time.perf_counter() - begin) * TIMED)
        last = trainer(steps, folder)
        begin = time.perf_counter()
        last.train()
        took = time.perf_counter() - begin
    return {"bits_per_byte": measured(last.model, text, _loss_of_trainer), "seconds": took, "steps": steps}


def with_ours(text: Path, seconds: float, seed: int) -> dict[str, float]:
    """The quickstart's model, optimizer, schedule and start; counting pairs of tokens and the probe are in the time."""
    begin = time.perf_counter()
    recipe = load(Recipe, RECIPE, [f"seed={seed}", f'train.duration="{seconds} seconds"', "train.validations=0"])
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"checkpoints": 1})})
    rows = CausalLM().rows(TokenData.open(text / "train"), recipe.train.context)
    chosen = recipe.model.chosen()
    sizes = recipe.model.resolve(
        vocab_size=SHAPE.vocabulary, context=2 * SHAPE.context, end_id=rows.data.eos_id, needed={}
    )
    torch.manual_seed(seed)
    model = chosen.build(sizes, dtype=choose_dtype(recipe.train, torch.device("cpu")), zero_outputs=True)
    start_from_bigrams(model, rows.data)
    data = TrainData(rows, None)
    left = Duration(seconds - (time.perf_counter() - begin), "seconds")
    config = recipe.train.model_copy(update={"duration": left})
    config = resolve_duration(config, recipe.optimizer, model, CausalLM(), data, seed)
    with TemporaryDirectory() as folder, Run.create(Path(folder) / "run", "", {}) as run:
        state = train(
            config, recipe.optimizer, recipe.schedule, model=model, task=CausalLM(), data=data, run=run, seed=seed
        )
    took = time.perf_counter() - begin
    return {"bits_per_byte": measured(model, text, _loss_of_ours), "seconds": took, "steps": state.step}


@torch.no_grad()
def measured(model: torch.nn.Module, text: Path, loss: Callable[..., float]) -> float:
    """Bits per byte of the first held-out rows, in the arithmetic that trains."""
    data, blocks = TokenData.open(text / "validation"), Blocks(text / "validation", SHAPE.context)
    model.eval()
    count = min(VALIDATED, len(blocks))
    losses = []
    for start in range(0, count, SHAPE.rows):
        rows = torch.from_numpy(blocks.rows(np.arange(start, min(start + SHAPE.rows, count))))
        with torch.autocast("cpu", torch.bfloat16):
            losses.append(loss(model, rows))
    return float(np.mean(losses)) / math.log(2) * data.num_tokens / data.num_bytes


def _loss_of_loop(model: GPT, rows: torch.Tensor) -> float:
    return float(model(rows[:, :-1], rows[:, 1:]))


def _loss_of_ours(model: torch.nn.Module, rows: torch.Tensor) -> float:
    return float(torch.nn.functional.cross_entropy(model(rows[:, :-1]).flatten(0, 1).float(), rows[:, 1:].flatten()))


def _loss_of_trainer(model: torch.nn.Module, rows: torch.Tensor) -> float:
    logits = model(input_ids=rows[:, :-1]).logits
    return float(torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), rows[:, 1:].flatten()))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=("ours", "compiled_loop", "trainer"))
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--lr", type=float, default=0.0)
    given = parser.parse_args()
    if reason := use_pool():
        sys.exit(f"no pool: {reason}")
    match given.side:
        case "ours":
            found = with_ours(given.text, given.seconds, given.seed)
        case "trainer":
            found = with_trainer(given.text, given.seconds, given.seed)
        case _:
            found = with_loop(given.text, given.seconds, given.lr, given.seed)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
