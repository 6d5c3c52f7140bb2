"""Hugging Face's Trainer, as its users run it on a CPU in bfloat16: its defaults, `bf16=True` and no more."""

from __future__ import annotations

import tempfile

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments
from turns import SHAPES, Blocks, Shape, Turns, arguments

FOREVER = 1_000_000


class Rows(torch.utils.data.Dataset):
    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        ids = torch.from_numpy(self.blocks.rows(np.array([number]))[0, :-1])
        return {"input_ids": ids, "labels": ids}


class TakeTurns(TrainerCallback):
    """The loss of a step is not handed to callbacks, so 0 is told; `logging_steps` is as shipped."""

    def __init__(self) -> None:
        self.turns = Turns()

    def on_train_begin(self, *_: object, **__: object) -> None:
        self.turns.wait()

    def on_step_end(self, *_: object, **__: object) -> None:
        self.turns.done(0.0)


def model_of(shape: Shape) -> GPT2LMHeadModel:
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=shape.vocabulary,
            n_positions=shape.context,
            n_embd=shape.width,
            n_layer=shape.layers,
            n_head=shape.heads,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        )
    )


def main() -> None:
    given = arguments()
    shape = SHAPES[given.shape]
    with tempfile.TemporaryDirectory() as folder:
        Trainer(
            model=model_of(shape),
            args=TrainingArguments(
                output_dir=folder,
                use_cpu=True,
                bf16=True,
                per_device_train_batch_size=shape.rows,
                max_steps=FOREVER,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=Rows(Blocks(given.tokens, shape.context)),
            callbacks=[TakeTurns()],
        ).train()


if __name__ == "__main__":
    main()
