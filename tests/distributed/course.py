"""What the tests have several processes do: `torchrun -m tests.distributed.course FOLDER` does all in actions.json."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from tests.training.conftest import TEXTS

from wenlu.config import Duration
from wenlu.corpus.packing import Windows
from wenlu.corpus.shard_writer import write_tokens
from wenlu.corpus.shards import TokenData
from wenlu.distributed import LOCAL, DistributedConfig, World, opened
from wenlu.errors import Preempted
from wenlu.models import LanguageModel, family
from wenlu.progress import Progress
from wenlu.rundir import Follower, Run, is_run
from wenlu.tasks import CausalLM, Task, TextClassification
from wenlu.tasks.labelled import Headed
from wenlu.tasks.text_classification import LabelledText, TextClassificationConfig
from wenlu.tokenizers import TokenizerConfig, train_tokenizer
from wenlu.training import ScheduleConfig, TrainConfig, TrainData, TrainState, freeze, gathered, placed, train
from wenlu.training.batches import Batches
from wenlu.training.checkpoints import newest, write
from wenlu.training.optimizers import read_optimizer

SEED = 1


def prepare(folder: Path) -> None:
    """Tokens for all processes."""
    tokenizer = train_tokenizer(TokenizerConfig(kind="char", vocab_size=28), TEXTS)
    write_tokens(TEXTS, tokenizer, folder / "tokens")


def new_model(tokens: TokenData, dtype: str = "float32", **settings: Any) -> LanguageModel:
    torch.manual_seed(3)
    qwen = family("qwen3")
    sizes = {"hidden_size": 20, "intermediate_size": 36, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"head_dim": 6, "num_key_value_heads": 4}
    config = qwen.config(vocab_size=tokens.vocab_size, max_position_embeddings=64, **{**sizes, **settings})
    return qwen.build(config, dtype=getattr(torch, dtype))


class At(Progress):
    """Does something after a step."""

    def __init__(self, step: int, action: Callable[[], None]) -> None:
        self.step, self.action = step, action

    def update(self, done: float, **facts: str) -> None:  # noqa: ARG002
        if done == self.step:
            self.action()


def labelled(frozen: Sequence[str]) -> tuple[TextClassification, Callable[[], Headed], TrainData]:
    """Which of two letters a text has more of, read by a tiny BERT in float64 whose weights named `frozen` stay."""
    tokenizer = train_tokenizer(TokenizerConfig(kind="char", vocab_size=28), TEXTS)
    texts = [text[start : start + 12] for text in TEXTS[:8] for start in range(0, 24, 3)]
    examples = [LabelledText(text, None, ("a" if text.count("a") > text.count("e") else "e",)) for text in texts]
    task = TextClassification(TextClassificationConfig(labels=("a", "e"), head_dropout=0.0), tokenizer)
    bert = family("bert")
    sizes = {"hidden_size": 20, "intermediate_size": 36, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "max_position_embeddings": 16}
    config = bert.config(vocab_size=tokenizer.vocab_size, **sizes)

    def build() -> Headed:
        torch.manual_seed(3)
        model = task.trained(bert.build(config, dtype=torch.float64))
        freeze(model, frozen)
        return model

    rows = task.rows(examples, 16)
    return task, build, TrainData(rows, rows)


def course(
    folder: Path,
    name: str,
    world: World = LOCAL,
    *,
    head: Sequence[str] | None = None,
    steps: int = 12,
    dtype: str = "float32",
    micro: int | str = "auto",
    lr: float = 1e-3,
    model: dict[str, Any] | None = None,
    ema: float | None = None,
    progress: Progress | None = None,
    **distributed: Any,
) -> TrainState:
    """Train in the run `folder/name`, which goes on where it was stopped; the first process also writes `kept.json`.

    With a `head`, that of a task with labels, and the weights that are frozen.
    """
    torch.set_num_threads(1)
    tokens = TokenData.open(folder / "tokens")
    task: Task = CausalLM()
    data = TrainData(Windows(tokens, 16), Windows(tokens, 16))

    def build() -> LanguageModel:
        return new_model(tokens, dtype, **(model or {}))

    if head is not None:
        task, build, data = labelled(head)
    config = TrainConfig(
        duration=Duration(steps, "steps"),
        context=16,
        global_batch_tokens=128,
        micro_batch_tokens=micro,
        validations=2,
        validation_tokens=272,
        checkpoints=3,
        keep_checkpoints=9,
        ema=ema,
    )
    path = folder / name
    chosen = read_optimizer({"name": "adamw", "lr": lr})
    built = build()
    placement = placed(built, DistributedConfig(**distributed), chosen, world, seed=SEED)
    with _run(path, world) as run:
        state = train(
            config,
            chosen,
            ScheduleConfig(warmup_steps=2),
            model=built,
            task=task,
            data=data,
            run=run,
            seed=SEED,
            placement=placement,
            progress=progress or Progress(),
        )
        if world.is_first:
            kept = gathered(state, build(), run) if placement.is_cut else built
            path.joinpath("kept.json").write_text(json.dumps(digests(kept)))
    return state


def digests(model: LanguageModel) -> dict[str, str]:
    """Of each weight's bytes."""
    return {
        name: sha256(weight.detach().float().numpy().tobytes()).hexdigest() for name, weight in model.named_parameters()
    }


def carry_over(folder: Path, world: World, source: str, target: str, **settings: Any) -> None:
    """Read the newest checkpoint of `source` as these processes hold it, and write it as one of `target`."""
    tokens = TokenData.open(folder / "tokens")
    built, chosen = new_model(tokens), read_optimizer({"name": "adamw", "lr": 0.01})
    state = TrainState(built, chosen, placement=placed(built, DistributedConfig(**settings), chosen, world, seed=SEED))
    saved = newest(state, Run.open(folder / source))
    assert saved is not None
    state.restore(saved.tensors, saved.facts)
    with _run(folder / target, world) as run:
        write(state, run, keep=1)


def order(folder: Path, world: World) -> str:
    """A hash of the rows of 20 steps, as the processes read them one after another."""
    source = Windows(TokenData.open(folder / "tokens"), 16)
    batches = Batches(source, 8, SEED, share=(world.rank, world.size))
    read = [[place for draw in batches.micro(step, 3) for place in draw.places.tolist()] for step in range(20)]
    parts = world.gather(read)
    places = [place for step in range(20) for part in parts for place in part[step]]
    return sha256(json.dumps(places).encode()).hexdigest()


def _run(path: Path, world: World) -> Run:
    if world.is_first:
        run = Run.open(path) if is_run(path) else Run.create(path, "", {})
    world.gather(None)
    return run if world.is_first else Follower(path)


def _once(path: Path, action: Callable[[], None]) -> Callable[[], None]:
    """The action the first time, even if this process is another one by then."""

    def act() -> None:
        if not path.exists():
            path.touch()
            action()

    return act


def _progress(folder: Path, world: World, at: dict[str, Any] | None) -> Progress | None:
    """`{"step": 5, "rank": 1, "signal": "SIGKILL", "whom": "self"}`: a signal to oneself, or to the agent."""
    if at is None or at["rank"] != world.rank:
        return None
    whom = os.getpid() if at["whom"] == "self" else os.getppid()
    return At(at["step"], _once(folder / at["marker"], lambda: os.kill(whom, signal.Signals[at["signal"]])))


def main() -> None:
    folder = Path(sys.argv[1])
    with opened(60) as world, world.watched(folder / f"process-{world.rank}.log"):
        for action in json.loads((folder / "actions.json").read_text()):
            kind = action.pop("do")
            match kind:
                case "train":
                    at = action.pop("at", None)
                    expected = contextlib.suppress(Preempted) if at and at.get("goes_on") else contextlib.nullcontext()
                    with expected:
                        course(folder, world=world, progress=_progress(folder, world, at), **action)
                case "carry over":
                    carry_over(folder, world, **action)
                case "order":
                    found = order(folder, world)
                    if world.is_first:
                        (folder / f"order-{world.size}").write_text(found)


if __name__ == "__main__":
    try:
        main()
    except Preempted as error:
        sys.exit(error.exit_code)
