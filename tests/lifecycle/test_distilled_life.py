"""The life of a student: it begins with layers of its base, or with its teacher's tokenizer, and learns from both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import wenlu
from wenlu.errors import ConfigError

SETTINGS = [
    "check=false",
    "data.steps=[]",
    "data.split_by=random",
    "data.validation=0.2",
    "data.test=0.2",
    "data.workers=1",
    "train.duration=3 steps",
    "train.context=32",
    "train.batch_size=4",
    "train.validations=1",
    "train.checkpoints=1",
    "train.dtype=float64",
    "train.threads=1",
    "train.allocator=as-is",
    "evaluate.resamples=100",
]
TEACHER = """
name = "teacher"
task.name = "text-classification"
data.train = "{train}"
tokenizer.kind = "char"
tokenizer.vocab_size = "auto"

[model]
family = "bert"
hidden_size = 32
intermediate_size = 64
num_attention_heads = 2
num_hidden_layers = 4
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distil")
    rows = [{"text": f"{animal} number {n}", "label": animal} for n in range(15) for animal in ("cat", "dog")]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "teacher.toml").write_text(TEACHER.format(train=folder / "rows.jsonl"))
    wenlu.finetune(folder / "teacher.toml", folder / "teacher", SETTINGS)
    return folder


def taught(folder: Path, name: str, *settings: str) -> Path:
    recipe = [*SETTINGS, f"data={{train = '{folder / 'rows.jsonl'}', steps = [], split_by = 'random'}}"]
    teacher = [f"distill.teacher={folder / 'teacher'}", "task={name = 'text-classification'}"]
    wenlu.finetune(Path("recipes/distil.toml"), folder / name, [*recipe, *teacher, *settings])
    return folder / name


def test_every_second_layer_of_the_base_is_where_it_begins(folder: Path) -> None:
    run = taught(folder, "half", f"model.base={folder / 'teacher'}", "optimizer.lr=1e-12")
    student, teacher = wenlu.load(run).model.state_dict(), wenlu.load(folder / "teacher").model.state_dict()
    assert wenlu.load(run).model.config.num_hidden_layers == 2
    for ours, theirs in ((0, 1), (1, 3)):
        name = "layers.{}.self_attn.q_proj.weight"
        torch.testing.assert_close(student[name.format(ours)], teacher[name.format(theirs)], atol=1e-9, rtol=0)
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert {"task.loss", "teacher.loss", "cosine.loss", "relations.loss"} <= {event["name"] for event in events}
    assert json.loads((run / "evaluation.json").read_text())["headline"]["name"] == "accuracy"


def test_without_a_base_it_has_the_teachers_tokenizer_and_any_size(folder: Path) -> None:
    sizes = "hidden_size = 16, intermediate_size = 32, num_attention_heads = 2, num_hidden_layers = 1"
    small = f"model={{family = 'bert', {sizes}}}"
    with pytest.raises(ConfigError, match=r"distill\.layers: are those of the base that the student begins with"):
        taught(folder, "refused", small)
    distil = f"distill={{teacher = '{folder / 'teacher'}', relations = 1.0}}"
    run = taught(folder, "narrow", small, distil)
    assert wenlu.load(run).tokenizer.fingerprint == wenlu.load(folder / "teacher").tokenizer.fingerprint
    with pytest.raises(ConfigError, match=r"distill\.cosine: compares states of one width, but the student has 16"):
        taught(folder, "other", small, f"distill={{teacher = '{folder / 'teacher'}', cosine = 1.0}}")
