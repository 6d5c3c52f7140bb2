"""Smaller models: what is written, what is refused, and what stands beside each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.tasks.tiny import ENGLISH
from typer.testing import CliRunner

import wenlu
from wenlu.bundle import Bundle
from wenlu.cli.app import app
from wenlu.errors import ConfigError, ParityError, UsageError
from wenlu.lifecycle.compressing.speed import measured
from wenlu.lifecycle.compressing.sweep import Sweep, compress
from wenlu.lifecycle.model_folder import write_bundle
from wenlu.models import family
from wenlu.models.quantised import quantised_layers
from wenlu.progress import Progress
from wenlu.tasks import CausalLM

RECIPE = "recipes/compress.toml"


class Noted(Progress):
    """Remembers what it was warned of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compress")


@pytest.fixture(scope="module")
def given(place: Path) -> list[str]:
    """Overrides: a tiny model of strong opinions, and texts."""
    from wenlu.tokenizers import TokenizerConfig, train_tokenizer

    torch.manual_seed(0)
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=300), ENGLISH)
    llama = family("llama")
    config = llama.config(
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.15,
    )
    bundle = Bundle(llama.build(config).eval(), tokenizer, CausalLM(), config, place)
    (place / "model").mkdir()
    write_bundle(place / "model", bundle, name="tiny", run=None, language="en")
    for name, texts in (("train", ENGLISH[:12]), ("test", ENGLISH[12:24])):
        (place / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return [
        f"model={place / 'model'}",
        f"data.train={place / 'train.jsonl'}",
        f"data.test={place / 'test.jsonl'}",
        "compress.measure=false",
        "parity.top1=0.3",
        "evaluate.resamples=100",
    ]


@pytest.fixture(scope="module")
def found(place: Path, given: list[str]) -> Sweep:
    return compress(RECIPE, place / "out", [*given, 'compress.methods=["rtn-int8", "rtn-int4", "gptq-int4"]'])


def test_what_is_kept_is_quantised_and_loads(found: Sweep, place: Path) -> None:
    for label, bits in (("rtn-int8", 8), ("gptq-int4", 4)):
        layers = quantised_layers(wenlu.load(place / "out" / label).model)
        assert {layer.config.bits for layer in layers.values()} == {bits}
        assert len(layers) == 14


def test_each_folder_holds_the_verdict_and_the_card_tells_it(found: Sweep, place: Path) -> None:
    for row in found.kept:
        folder = place / "out" / row.name
        told = json.loads((folder / "parity.json").read_text())
        assert (told["equal"], told["verdict"], told["b"]) == (True, "passed", row.name)
        assert f"## Compression\n\nMade by Wenlu {wenlu.__version__} of model: {row.name}." in (
            folder / "README.md"
        ).read_text(encoding="utf-8")


def test_more_bits_are_nearer_to_the_model_and_larger(found: Sweep) -> None:
    rows = {row.name: row for row in found.rows}
    parities = {name: row.artefact.parity for name, row in rows.items() if row.artefact is not None}
    assert list(rows) == ["model", "rtn-int8", "rtn-int4", "gptq-int4"]
    assert (parities["rtn-int8"].mean_kl_nats or 1) < (parities["gptq-int4"].mean_kl_nats or 0)
    assert rows["model"].bytes > rows["rtn-int8"].bytes > rows["rtn-int4"].bytes


def test_the_json_has_scores_with_intervals_and_pairs_with_the_model(found: Sweep, place: Path) -> None:
    told = json.loads((place / "out/compress.json").read_text())
    assert told == json.loads(json.dumps(found.to_json()))
    assert [row["name"] for row in told["metrics"]] == [f"{row.name}.bits_per_byte" for row in found.rows]
    assert all(row["low"] <= row["value"] <= row["high"] for row in told["metrics"])
    assert [(pair["a"], pair["b"]) for pair in told["pairs"]] == [(row.name, "model") for row in found.rows[1:]]
    assert all(0 < layer["error"] < 0.1 for layer in told["artefacts"][3]["layers"])
    assert (place / "out/pareto.svg").read_text().startswith("<svg")


def test_what_answers_too_unlike_its_model_is_not_left_behind(place: Path, given: list[str]) -> None:
    progress = Noted()
    overrides = [*given, 'compress.methods=["rtn-int8", "rtn-int4-grow"]', "parity.kl_nats=1e-3", "parity.dtype=int8"]
    swept = compress(RECIPE, place / "strict", overrides, progress=progress)
    assert [row.verdict for row in swept.rows] == ["–", "passed", "refused"]
    assert not (place / "strict/rtn-int4-grow").exists()
    assert not [path for path in (place / "strict").iterdir() if path.name.startswith(".")]
    assert "rtn-int4-grow: answers otherwise than the model (mean_kl_nats = " in progress.warnings[0]


def test_where_nothing_is_kept_it_fails_unless_told_to_accept(place: Path, given: list[str]) -> None:
    strict = [*given, 'compress.methods=["rtn-int4"]', "parity.kl_nats=0"]
    with pytest.raises(
        ParityError, match=r"rtn-int4 answers otherwise than the model .*compress\.accept_divergence=true keeps"
    ):
        compress(RECIPE, place / "none", strict)
    assert not (place / "none/rtn-int4").exists()
    kept = compress(RECIPE, place / "none", [*strict, "compress.accept_divergence=true"])
    assert [row.verdict for row in kept.rows] == ["–", "accepted"]
    told = json.loads((place / "none/rtn-int4/parity.json").read_text())
    assert (told["equal"], told["verdict"]) == (False, "accepted in spite of what failed")
    card = (place / "none/rtn-int4/README.md").read_text()
    assert "**It answers otherwise than its kind should, and was kept all the same.**" in card


def test_a_quantised_model_is_exported_as_what_its_codes_stand_for(found: Sweep, place: Path) -> None:
    wenlu.export(place / "out/gptq-int4", place / "gguf", ["format=gguf", "dtype=float32"])
    wenlu.export(place / "out/gptq-int4", place / "hf", ["format=hf"])
    assert not quantised_layers(wenlu.load(place / "gguf").model)
    assert quantised_layers(wenlu.load(place / "hf").model)


def test_parity_takes_the_thresholds_of_what_is_quantised(found: Sweep, place: Path) -> None:
    compared = wenlu.parity(str(place / "model"), str(place / "out/rtn-int8"), ["parity.texts=2"])
    assert compared.thresholds["logits"] is None
    assert compared.thresholds["kl_nats"] == 0.02
    assert compared.equal


def test_speed_is_of_reading_and_of_writing(found: Sweep, place: Path) -> None:
    speed = measured(str(place / "out/rtn-int8"), 16)
    assert speed.read > 0
    assert speed.written is not None
    assert speed.peak_bytes > 1e7


def test_the_table_shows_every_row(place: Path, given: list[str]) -> None:
    methods = 'compress.methods=["rtn-int8"]'
    done = CliRunner().invoke(app, ["compress", RECIPE, *given, methods, "--out", str(place / "table")])
    assert done.exit_code == 0, done.output
    assert "bits_per_byte, lower is better; 12 examples" in done.output
    assert "● rtn-int8" in done.output
    assert f"wenlu evaluate {place}" in done.output.replace("\n", "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("compress.methods=gtpq", r"compress\.methods\.0: no method 'gtpq'; did you mean gptq"),
        ('compress.methods=["rtn", "rtn-int4"]', "methods: rtn-int4 stands there more than once"),
        ("compress.method=rtn", r"compress\.method: unknown key; did you mean methods"),
    ],
)
def test_settings_without_a_meaning_are_refused(change: str, message: str, given: list[str], place: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        compress(RECIPE, place / "wrong", [*given, change])


def test_texts_that_are_needed_are_asked_for(given: list[str], place: Path) -> None:
    with pytest.raises(UsageError, match=r"has no held-out texts of its own \(no data/\); give some: data\.test=FILE"):
        compress(RECIPE, place / "wrong", [given[0]])
    without = [each for each in given if not each.startswith("data.train")]
    with pytest.raises(UsageError, match=r"has no training texts to calibrate on; give some with data\.train=FILE"):
        compress(RECIPE, place / "wrong", without)


def test_a_folder_of_something_else_is_left_alone(given: list[str], place: Path) -> None:
    with pytest.raises(UsageError, match="holds something that compress did not write; choose another --out"):
        compress(RECIPE, place / "model", given)


def test_a_narrower_vocabulary_is_compared_in_its_own_words(place: Path, given: list[str]) -> None:
    (place / "few.jsonl").write_text(json.dumps({"text": "the cat sat on the mat."}) + "\n")
    strict = [each for each in given if not each.startswith("parity")]
    few = [*strict, f"data.train={place / 'few.jsonl'}", 'compress.methods=["vocabulary+rtn-int8"]']
    swept = compress(RECIPE, place / "words", few)
    row = swept.rows[1]
    assert row.artefact is not None
    assert row.verdict == "passed"
    assert row.artefact.parity.same_ids
    assert row.bytes < swept.rows[0].bytes
    small = wenlu.load(place / "words/vocabulary+rtn-int8")
    assert small.tokenizer.decode(small.tokenizer.encode("渡船 ran 100 °C")) == "渡船 ran 100 °C"
