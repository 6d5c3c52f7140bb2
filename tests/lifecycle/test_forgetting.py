"""Fine-tuning and what the base could do: measured before and after, replayed, and stopped in time."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from wenlu.cli.run import words_of
from wenlu.config import load as read_recipe
from wenlu.corpus.prepare import read_split
from wenlu.corpus.repeats import training_records
from wenlu.errors import ConfigError, UsageError
from wenlu.lifecycle import verbs
from wenlu.lifecycle.recipe import Recipe

TEXT = """
name = "tiny-base"
[data]
train = "FILE"
steps = []
split_by = "random"
validation = 0.2
test = 0.2
[tokenizer]
kind = "char"
vocab_size = "auto"
[model]
MODEL
[check]
enabled = false
[train]
duration = "STEPS steps"
context = 32
batch_size = 8
validations = 6
keep_best = true
allocator = "as-is"
dtype = "float32"
threads = 1
[optimizer]
name = "adamw"
lr = 1e-2
[schedule]
name = "constant"
[evaluate]
resamples = 200
baseline = false
context = 32
[generate]
max_new_tokens = 1
"""
NEW = """family = "llama"
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 1
num_attention_heads = 2"""


def sentences(words: str, count: int, seed: int) -> str:
    drawn = random.Random(seed)
    rows = [{"text": " ".join(drawn.choices(words.split(), k=12))} for _ in range(count)]
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forgetting")
    (folder / "old.jsonl").write_text(sentences("abc bca cab", 80, 0))
    (folder / "probes.jsonl").write_text(sentences("abc bca cab", 30, 1))
    (folder / "new.jsonl").write_text(sentences("acb bac cba", 80, 2))
    text = TEXT.replace("MODEL", NEW).replace("FILE", f"{folder}/old.jsonl").replace("STEPS", "36")
    (folder / "base.toml").write_text(text)
    verbs.pretrain(folder / "base.toml", folder / "base")
    tuned = TEXT.replace("MODEL", f'base = "{folder}/base"').replace("FILE", f"{folder}/new.jsonl")
    (folder / "tuned.toml").write_text(tuned.replace("STEPS", "36"))
    return folder


def forgetting_of(base: Path, name: str, *more: str) -> tuple[dict[str, Any], Path]:
    summary = verbs.finetune(base / "tuned.toml", base / name, [f"forgetting.probes={base}/probes.jsonl", *more])
    assert summary.evaluation is not None
    (row,) = summary.evaluation["forgetting"]
    assert f"{row['name']}: bits per byte {row['before']:.4f} before" in words_of(summary, 1.0)
    return row, base / name


def probe_losses(run: Path) -> list[float]:
    lines = (json.loads(line) for line in (run / "events.jsonl").read_text().splitlines())
    return [line["value"] for line in lines if line["name"] == "probe"]


@pytest.fixture(scope="module")
def plain(base: Path) -> tuple[dict[str, Any], Path]:
    return forgetting_of(base, "plain")


def test_what_is_forgotten_is_told_before_and_after(plain: tuple[dict[str, Any], Path]) -> None:
    row, run = plain
    assert row["verdict"] == "forgot"
    assert row["after"] - row["before"] == pytest.approx(row["difference"])
    assert 0 < row["low"] <= row["difference"] <= row["high"]
    assert row["n"] == 30
    assert len(probe_losses(run)) == 6
    assert 'id="forgetting"' in (run / "report.html").read_text()


def test_training_stops_where_the_budget_is_spent_and_keeps_weights_within_it(
    base: Path, plain: tuple[dict[str, Any], Path]
) -> None:
    row, run = forgetting_of(base, "budget", "forgetting.budget=0.05 nats")
    losses = probe_losses(run)
    assert len(losses) < 6
    assert row["after"] < plain[0]["after"]
    spent = losses[-1]
    assert all(loss < spent for loss in losses[:-1])
    # A byte is about a token here, so bits per byte rise by the budget at most: 0.05 nats are 0.072 bits.
    assert row["difference"] < 0.09


def test_a_budget_that_the_first_validation_exceeds_leaves_the_base(base: Path) -> None:
    row, run = forgetting_of(base, "tight", "forgetting.budget=0.01 %", "optimizer.lr=0.1")
    assert len(probe_losses(run)) == 1
    assert row["difference"] == pytest.approx(0, abs=1e-4)


def test_replay_mixes_old_texts_in_the_share_that_is_asked_for(base: Path, plain: tuple[dict[str, Any], Path]) -> None:
    row, run = forgetting_of(base, "replay", f"forgetting.old={base}/old.jsonl", "forgetting.replay=0.5")
    met = [record.meta["source"] for record in training_records(run / "data")]
    assert 0.4 < met.count("old.jsonl") / len(met) < 0.6
    for split in ("validation", "test"):
        assert {record.meta["source"] for record in read_split(run / "data", split)} == {"new.jsonl"}
    assert row["after"] < plain[0]["after"]


LABELS = """
name = "tiny-labels"
[task]
name = "text-classification"
"""


def labelled(folder: Path, name: str, kinds: tuple[str, str]) -> None:
    rows = [{"text": f"{kinds[n % 2]} {n}", "label": kinds[n % 2]} for n in range(120)]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_an_older_task_is_asked_again_with_its_own_head(tmp_path: Path) -> None:
    labelled(tmp_path, "old", ("aaaa", "bbbb"))
    labelled(tmp_path, "new", ("ab", "ba"))
    text = LABELS + TEXT.partition('name = "tiny-base"')[2].replace("STEPS", "40").replace("lr = 1e-2", "lr = 3e-3")
    (tmp_path / "old.toml").write_text(text.replace("MODEL", NEW).replace("FILE", f"{tmp_path}/old.jsonl"))
    verbs.finetune(tmp_path / "old.toml", tmp_path / "old")
    tuned = text.replace("MODEL", f'base = "{tmp_path}/old"').replace("FILE", f"{tmp_path}/new.jsonl")
    (tmp_path / "new.toml").write_text(tuned)
    summary = verbs.finetune(tmp_path / "new.toml", tmp_path / "new", [f"forgetting.older={tmp_path}/old"])
    assert summary.evaluation is not None
    (row,) = summary.evaluation["forgetting"]
    old = json.loads((tmp_path / "old/evaluation.json").read_text())
    assert row["kind"] == "older"
    assert row["name"] == f"text-classification of {tmp_path}/old"
    assert row["before"] == old["headline"]["value"]
    assert row["n"] == old["documents"]
    assert row["after"] <= row["before"]
    same = [f"data.train={tmp_path}/old.jsonl", "data.test=0.2", f"forgetting.older={tmp_path}/old"]
    again = verbs.finetune(tmp_path / "new.toml", tmp_path / "same", same)
    assert again.evaluation is not None
    assert again.evaluation["forgetting"][0]["after"] >= row["before"] - 0.1  # with the head that it has now
    with pytest.raises(UsageError, match=r"forgetting\.probes: .*was trained for text-classification, and predicts no"):
        verbs.finetune(tmp_path / "new.toml", tmp_path / "probed", [f"forgetting.probes={tmp_path}/old.jsonl"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["forgetting.budget=much", "forgetting.probes=a.txt"], "forgetting.budget: 'much' is no rise of a loss"),
        (["forgetting.budget=5 %"], "budget: is of the loss on probes; name texts in probes"),
        (["forgetting.replay=0.5"], "old and replay belong together"),
        (["forgetting.probes=a.txt"], "forgetting: is of what a base could do"),
        (['model={base = "runs/a"}', "forgetting.budget=5 %", "forgetting.probes=a"], "set train.keep_best=true"),
    ],
)
def test_what_does_not_belong_together_is_told(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe(Recipe, Path("recipes/tiny.toml"), settings)
