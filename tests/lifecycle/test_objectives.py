"""Lives of models with other objectives than to continue text: trained, scored, reported, and asked for no more."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import wenlu
from wenlu.cli.app import app as main
from wenlu.cli.run import words_of as closing_words
from wenlu.errors import ConfigError, Interrupted, UsageError
from wenlu.evaluation import EvaluateConfig, evaluate_texts
from wenlu.generation.text import encode_prompt
from wenlu.lifecycle import verbs
from wenlu.progress import Progress
from wenlu.tasks import TASKS, MaskedLM, Objective
from wenlu.tokenizers import Tokenizer

RECIPE = Path("recipes/tiny.toml")
MASKED = [
    "task.name=masked-lm",
    "model.family=bert",
    "train.duration=12 steps",
    "train.checkpoints=3",
    "train.allocator=as-is",
    "check=false",
    "train.threads=1",
    "train.dtype=float32",
]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, verbs.RunSummary]:
    out = tmp_path_factory.mktemp("life") / "run"
    return out, wenlu.run(RECIPE, out, MASKED)


def events(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]


def test_the_model_says_what_it_was_trained_for(life: tuple[Path, verbs.RunSummary]) -> None:
    bundle = wenlu.load(life[0])
    assert isinstance(bundle.task, MaskedLM)
    assert bundle.task.config.rate == 0.15
    assert "[MASK]" in bundle.tokenizer.special_tokens


def test_its_numbers_bear_their_units(life: tuple[Path, verbs.RunSummary]) -> None:
    units = {event["name"]: event["unit"] for event in events(life[0])}
    assert units["loss"] == "nats/masked token"
    assert units["validation"] == "nats/masked token"
    assert units["masked-lm.accuracy"] == "fraction"
    assert "sample" not in units
    assert wenlu.runs(life[0])[0].bits_per_byte is None


def test_its_evaluation_names_the_score_and_the_baseline(life: tuple[Path, verbs.RunSummary]) -> None:
    found = json.loads((life[0] / "evaluation.json").read_text())
    assert found["task"] == "masked-lm"
    headline, baseline = found["headline"], found["baseline"]
    assert headline["name"] == "masked_lm_accuracy"
    assert baseline["name"] == "baseline_masked_lm_accuracy"
    for score in (headline, baseline):
        assert 0 <= score["low"] <= score["value"] <= score["high"] <= 1
    assert found["difference"]["value"] == pytest.approx(headline["value"] - baseline["value"])
    assert found["bits_per_byte"] is None
    scores = {score["name"]: score["value"] for score in found["metrics"]}
    assert scores["masked_lm_perplexity"] > 1
    assert 1 < scores["baseline_masked_lm_perplexity"] < 512
    rows = [json.loads(line) for line in (life[0] / "evaluation.jsonl").read_text().splitlines()]
    targets = sum(row["model.masked-lm.targets"] for row in rows)
    assert sum(row["model.masked-lm.correct"] for row in rows) / targets == pytest.approx(headline["value"])


def test_its_report_speaks_of_accuracy_not_of_bits(life: tuple[Path, verbs.RunSummary]) -> None:
    page = (life[0] / "report.html").read_text()
    assert "accuracy of masked tokens" in page
    assert "commonest answer" in page
    assert "bits per byte" not in page
    closing = closing_words(life[1], 3.0)
    assert "masked lm accuracy" in closing
    assert "wenlu chat" not in closing


def test_it_is_not_asked_to_continue_text(life: tuple[Path, verbs.RunSummary]) -> None:
    bundle = wenlu.load(life[0])
    message = r"this Bert was trained for masked-lm: it fills in \[MASK\], but does not continue text"
    for ask in (lambda: encode_prompt(bundle, "a"), lambda: wenlu.chat(life[0])):
        with pytest.raises(UsageError, match=message):
            ask()


def test_it_fills_in_on_the_command_line(
    life: tuple[Path, verbs.RunSummary], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["predict", str(life[0]), "--text", "import [MASK]", "--json"], standalone_mode=False)
    line = json.loads(capsys.readouterr().out)
    assert line["text"].startswith("import")
    assert len(line["candidates"][0]) == 5
    main(["predict", str(life[0]), "candidates=2", "--text", "import [MASK]"], standalone_mode=False)
    assert len(capsys.readouterr().out.splitlines()[-1].split("  ")) == 2


def test_the_resolved_settings_repeat_the_run(life: tuple[Path, verbs.RunSummary], tmp_path: Path) -> None:
    wenlu.pretrain(life[0] / "config.toml", tmp_path / "again")
    name = "model/model.safetensors"
    assert (tmp_path / "again" / name).read_bytes() == (life[0] / name).read_bytes()


class StopAfterFive(Progress):
    """Presses Ctrl-C in the fifth step of the training."""

    part = ""

    def start(self, name: str, total: float | None = None, unit: str = "") -> None:  # noqa: ARG002
        self.part = name

    def update(self, done: float, **facts: str) -> None:  # noqa: ARG002
        if self.part == "train" and done == 5:
            os.kill(os.getpid(), signal.SIGINT)


def stopped_and_resumed(out: Path, settings: list[str]) -> None:
    with pytest.raises(Interrupted):
        wenlu.pretrain(RECIPE, out, settings, progress=StopAfterFive())
    wenlu.pretrain(RECIPE, out, settings)


def assert_equal(a: Path, b: Path, *weights: str) -> None:
    for name in weights:
        assert (a / name).read_bytes() == (b / name).read_bytes()
    assert [e["value"] for e in events(a) if e["name"] == "loss"] == [
        e["value"] for e in events(b) if e["name"] == "loss"
    ]


def test_a_run_that_was_stopped_hides_the_same_tokens_when_it_goes_on(
    life: tuple[Path, verbs.RunSummary], tmp_path: Path
) -> None:
    stopped_and_resumed(tmp_path / "run", MASKED)
    assert_equal(life[0], tmp_path / "run", "model/model.safetensors")


def test_a_stopped_pair_of_generator_and_discriminator_resumes_bit_for_bit(tmp_path: Path) -> None:
    settings = [*MASKED, "task.name=replaced-tokens"]
    wenlu.pretrain(RECIPE, tmp_path / "whole", settings)
    stopped_and_resumed(tmp_path / "stopped", settings)
    names = ("model/model.safetensors", "model/generator/model.safetensors")
    assert_equal(tmp_path / "whole", tmp_path / "stopped", *names)


def test_a_model_is_scored_the_same_whatever_stands_beside_it(life: tuple[Path, verbs.RunSummary]) -> None:
    evaluation = wenlu.evaluate(str(life[0]), ["evaluate.baseline=false"])
    assert evaluation.baseline is None
    assert evaluation.difference is None
    found = json.loads((life[0] / "evaluation.json").read_text())
    assert evaluation.value("masked_lm_accuracy") == found["headline"]["value"]


def test_no_texts_are_no_evaluation(life: tuple[Path, verbs.RunSummary]) -> None:
    with pytest.raises(Exception, match="split is empty"):
        evaluate_texts(wenlu.load(life[0]), [], EvaluateConfig())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["task.name=masked-lm"],
            r"model: family 'llama' is not made for masked-lm; families that fill in .*: bert, rob",
        ),
        (["model.family=bert"], r"model: family 'bert' reads both ways, .* families that continue text: gpt2, llama"),
        (["task.name=masked"], r"task: no task 'masked'; did you mean masked-lm\?"),
        (["task.name=masked-lm", "task.rat=0.2"], r"task: rat: unknown key; did you mean rate\?"),
        (["task.name=masked-lm", "task.rate=2"], r"task: rate: input should be less than 1, not 2"),
        (["task.name=masked-lm", "model.family=bert", "verse.poems=1"], r"verse: is for models that continue text"),
    ],
)
def test_what_does_not_fit_is_refused_before_work_starts(overrides: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        wenlu.run(RECIPE, tmp_path / "run", overrides)
    assert not (tmp_path / "run").exists()


def test_a_head_that_the_task_cannot_use_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.head='none': the task needs 'masked-lm'; leave it out"):
        wenlu.pretrain(RECIPE, tmp_path / "run", [*MASKED, "model.head=none"])


OTHERS = {
    "denoising": ["model.family=bart"],
    "next-sentence": ["model.family=bert"],
    "prefix-lm": [],
    "replaced-tokens": ["model.family=roberta"],
    "sentence-order": ["model.family=bert"],
    "span-corruption": ["model.family=t5", "task.sentinels=20"],
}


@pytest.mark.parametrize("name", [task.name for task in TASKS if task.name not in ("causal-lm", "masked-lm")])
def test_a_model_of_every_other_task_is_trained_and_scored_beside_the_commonest_answer(
    name: str, tmp_path: Path
) -> None:
    short = ["data.train={path='stdlib', limit=24}", "train.duration=3 steps", "train.validations=1"]
    out = tmp_path / "run"
    found = wenlu.run(
        RECIPE, out, [*MASKED, f"task.name={name}", "model.family=llama", *OTHERS[name], *short]
    ).evaluation
    assert found is not None
    bundle = wenlu.load(out)
    assert isinstance(bundle.task, Objective)
    assert bundle.task.name == found["task"] == name
    assert found["settings"]["context"] == 64
    for score in (found["headline"], found["baseline"]):
        assert 0 <= score["low"] <= score["value"] <= score["high"] <= 1
        assert f"|task:{name}|ctx:64|" in score["signature"]
    logged = {event["name"]: event["unit"] for event in events(out)}
    assert logged["validation"] == logged["loss"] == f"nats/{bundle.task.target}"
    assert {f"{part}.accuracy" for part in bundle.task.parts} <= logged.keys()
    assert ({f"{part}.loss" for part in bundle.task.parts} <= logged.keys()) == (len(bundle.task.parts) > 1)
    again = wenlu.evaluate(str(out))
    assert again.value(found["headline"]["name"]) == found["headline"]["value"]
    assert json.loads((out / "samples.json").read_text()) == []
    way = "give a causal model" if name in ("prefix-lm", "replaced-tokens") else "ask it with: wenlu predict"
    with pytest.raises(UsageError, match=f"was trained for {name}: it {bundle.task.ability.split()[0]}.*; {way}"):
        bundle.require_causal()
    if way.startswith("ask"):
        text = {"span-corruption": "import <extra_id_0> as"}.get(name, "import [MASK] as")
        given = ["predict", str(out), "--text", text, "--json"]
        line = json.loads(CliRunner().invoke(main, given).stdout)
        assert isinstance(line["prediction"], str)
    if name == "span-corruption":
        frame = Tokenizer.load(out / "model").frame
        assert frame == ([], [bundle.tokenizer.eos_id]), "transformers puts the end behind a source too"
