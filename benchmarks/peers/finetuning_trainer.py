"""Hugging Face's Trainer on questions, as the official `run_qa` example sets it up.

As shipped it is float32, in random order, every window padded to the longest that there may be. With `--sorted` it is
bfloat16, its sampler puts windows of about one length together, and they are padded to the longest of their step.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from questions import BASE, ROWS, arguments, parsed, read, spread
from trainer import FOREVER, TakeTurns
from transformers import (
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    default_data_collator,
)
from transformers.trainer_pt_utils import LengthGroupedSampler

from wenlu.bundle import model_path
from wenlu.corpus.packing import Ids

LR = 3e-5
"""Of the example's documentation; steps cost the same at any."""


class Windows(torch.utils.data.Dataset):
    """The windows at `places`, again and again."""

    def __init__(self, path: Path, places: Ids, length: int | None) -> None:
        rows = read(path)
        assert rows.types is not None, "a question and its context are a pair"
        assert rows.labels is not None, "the training part has answers"
        self.features = []
        for place in places.tolist():
            ids, types = rows.inputs[place].tolist(), rows.types[place].tolist()
            padding = [0] * (0 if length is None else length - len(ids))
            start, end = rows.labels[place].tolist()
            self.features.append(
                {
                    "input_ids": ids + padding,
                    "token_type_ids": types + padding,
                    "attention_mask": [1] * len(ids) + padding,
                    "start_positions": start,
                    "end_positions": end,
                }
            )

    def __len__(self) -> int:
        return FOREVER * ROWS

    def __getitem__(self, number: int) -> dict[str, object]:
        return self.features[number % len(self.features)]


def order_of(path: Path, steps: int, *, is_sorted: bool) -> Ids:
    """The windows of `steps` steps that stand for all that the Trainer's own sampler would make."""
    sizes = read(path).inputs.sizes
    torch.manual_seed(0)
    drawn = list(LengthGroupedSampler(ROWS, lengths=sizes.tolist())) if is_sorted else torch.randperm(len(sizes))
    order = np.array(drawn)[: len(sizes) // ROWS * ROWS].reshape(-1, ROWS)
    return order[spread(sizes[order].max(axis=1), steps)].ravel() if is_sorted else order[:steps].ravel()


def main() -> None:
    parser = arguments()
    parser.add_argument("--sorted", action="store_true", help="bfloat16, and windows of about one length together")
    given = parsed(parser)
    folder = model_path(BASE)
    length = None if given.sorted else read(given.windows).length
    collate = DataCollatorWithPadding(AutoTokenizer.from_pretrained(folder)) if given.sorted else default_data_collator
    with tempfile.TemporaryDirectory() as out:
        Trainer(
            model=AutoModelForQuestionAnswering.from_pretrained(folder),
            args=TrainingArguments(
                output_dir=out,
                use_cpu=True,
                bf16=given.sorted,
                learning_rate=LR,
                per_device_train_batch_size=ROWS,
                train_sampling_strategy="sequential",  # the order is the sampler's already
                max_steps=FOREVER,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=Windows(given.windows, order_of(given.windows, given.steps, is_sorted=given.sorted), length),
            data_collator=collate,
            callbacks=[TakeTurns()],
        ).train()


if __name__ == "__main__":
    main()
