"""The life of an adapter: learnt beside a base, loaded with it, changed for another, merged and given to others."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file
from tests.lifecycle.adapted import Home, write_base, write_rows
from tests.lifecycle.test_dialogue_life import talks
from typer.testing import CliRunner

import wenlu
from wenlu.bundle import Bundle
from wenlu.cli.app import app
from wenlu.config import load as load_settings
from wenlu.errors import ConfigError, UsageError, WeightsError
from wenlu.evaluation.comparison import compare
from wenlu.lifecycle import verbs
from wenlu.lifecycle.adapter import check_processes
from wenlu.lifecycle.evaluate import evaluate
from wenlu.lifecycle.recipe import Recipe
from wenlu.models.adapters import adapter_names, merged_model
from wenlu.models.quantised import quantised_layers

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")

PROOF = os.environ.get("WENLU_PROOF") == "1"
IDS = torch.arange(3, 12)[None]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("adapters")
    write_rows(folder / "dialogue-train.jsonl", talks(0, 40))
    write_rows(folder / "dialogue-test.jsonl", talks(40, 9))
    labelled = [{"text": f"{animal} number {n} sat", "label": animal} for n in range(20) for animal in ("cat", "dog")]
    write_rows(folder / "text-classification-train.jsonl", labelled[:32])
    write_rows(folder / "text-classification-test.jsonl", labelled[32:])
    texts = [json.dumps(row) for row in talks(0, 40)]
    write_base(folder / "llama", "llama", texts)
    write_base(folder / "bert", "bert", texts)
    return Home(folder)


@pytest.fixture(scope="module")
def lora(home: Home) -> Path:
    return home.run("lora")


@pytest.fixture(scope="module")
def dora(home: Home) -> Path:
    return home.run("dora", adapter='kind = "dora"\ntargets = ["q_proj", "down_proj"]')


@torch.no_grad()
def logits(bundle: Any) -> torch.Tensor:
    found: torch.Tensor = bundle.model(IDS)
    return found


def test_a_run_holds_the_adapter_alone_and_says_beside_what(home: Home, lora: Path) -> None:
    names = {path.name for path in (lora / "model").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "adapter_base.json", "task.json", "README.md"} <= names
    assert not {"model.safetensors", "config.json"} & names
    facts = json.loads((lora / "model/adapter_base.json").read_text())
    assert facts["base"] == str(home.folder / "llama")
    assert facts["digest"].startswith("sha256:")
    card = (lora / "model/README.md").read_text(encoding="utf-8")
    assert 'library_name: "peft"' in card
    assert 'base_model: "llama"' in card
    learnt = 2 * 4 * (4 * (32 + 32) + 3 * (32 + 64))
    assert f"an adapter of {learnt:,} numbers; the other weights are those of its base, llama" in card
    saved = load_file(lora / "model/adapter_model.safetensors")
    assert sum(tensor.numel() for tensor in saved.values()) == learnt


def test_what_is_loaded_is_what_was_scored(home: Home, lora: Path) -> None:
    first = json.loads((lora / "evaluation.json").read_text(encoding="utf-8"))
    bundle = wenlu.load(lora)
    assert bundle.path == lora / "model"
    assert bundle.task is not None
    assert bundle.task.name == "dialogue"
    assert not torch.equal(logits(bundle), logits(wenlu.load(home.folder / "llama")))
    again = evaluate(str(lora), [f"data.test={home.folder / 'dialogue-test.jsonl'}", "evaluate.generated=1"])
    assert again.value("bits_per_byte") == pytest.approx(first["bits_per_byte"])


def test_a_base_is_asked_what_its_adapted_run_was_trained_for_and_the_two_compare(home: Home, lora: Path) -> None:
    base, before = str(home.folder / "llama"), home.folder / "before"
    found = evaluate(base, [f"of={lora}"], out=before)
    (pair,) = compare([str(before), str(lora)]).pairs
    after = json.loads((lora / "evaluation.json").read_text(encoding="utf-8"))
    assert pair.value == pytest.approx(found.value("bits_per_byte") - after["bits_per_byte"])
    assert json.loads((lora / "test-readings.jsonl").read_text().splitlines()[-1])["value"] == found.value(
        "bits_per_byte"
    )
    with pytest.raises(UsageError, match=r"of=.*: dialogue is for families that continue text, and .*bert is none"):
        evaluate(str(home.folder / "bert"), [f"of={lora}"])


def test_two_adapters_on_one_base_answer_as_two_runs_that_are_loaded_apart(home: Home, lora: Path, dora: Path) -> None:
    base = wenlu.load(home.folder / "llama")
    assert isinstance(base, Bundle)
    before = logits(base)
    first, second = base.with_adapter(lora), base.with_adapter(dora)
    for _ in range(2):
        for mine, path in ((first, lora), (second, dora)):
            assert torch.equal(logits(mine), logits(wenlu.load(path)))
        assert torch.equal(logits(base), before)
    shared = [each.model.get_parameter("layers.0.self_attn.q_proj.weight") for each in (base, first, second)]
    assert len({weight.data_ptr() for weight in shared}) == 1
    with pytest.raises(UsageError, match=r"has an adapter already; give the other one to its base"):
        first.with_adapter(dora)
    with pytest.raises(UsageError, match="is no adapter, but a whole model"):
        base.with_adapter(home.folder / "llama")


@pytest.mark.parametrize("form", ["hf", "gguf"])
def test_an_export_is_the_base_with_the_adapter_in_its_weights(form: str, lora: Path, tmp_path: Path) -> None:
    done = wenlu.export(lora, tmp_path / "out", [f"format={form}", "dtype=float32"])
    whole = wenlu.load(done.path)
    assert not adapter_names(whole.model)  # type: ignore[arg-type]
    torch.testing.assert_close(logits(whole), logits(wenlu.load(lora)), rtol=1e-5, atol=1e-5)


def test_peft_reads_the_run_and_the_adapter_that_is_exported(home: Home, dora: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", str(dora), "format=peft", "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["format"] == "peft"
    plain = transformers.AutoModelForCausalLM.from_pretrained(home.folder / "llama")
    for folder in (dora / "model", tmp_path / "out"):
        theirs = peft.PeftModel.from_pretrained(plain, folder).eval()
        with torch.no_grad():
            torch.testing.assert_close(theirs(IDS).logits, logits(wenlu.load(dora)), rtol=1e-5, atol=1e-5)
        plain = theirs.unload()
    with pytest.raises(UsageError, match="has no adapter to write alone; export it as format=hf"):
        wenlu.export(home.folder / "llama", tmp_path / "none", ["format=peft"])


def test_transformers_reads_the_run_by_itself(lora: Path) -> None:
    """But for DoRA, whose lengths it looks for under another name than peft writes."""
    whole = transformers.AutoModelForCausalLM.from_pretrained(lora / "model").eval()
    with torch.no_grad():
        torch.testing.assert_close(whole(IDS).logits, logits(wenlu.load(lora)), rtol=1e-5, atol=1e-5)


def test_parity_compares_an_adapted_run_with_its_base(home: Home, lora: Path) -> None:
    assert wenlu.parity(str(lora), str(lora / "model")).equal
    assert not wenlu.parity(str(home.folder / "llama"), str(lora)).equal


def test_another_base_is_refused_with_what_to_do(home: Home, dora: Path, tmp_path: Path) -> None:
    write_base(tmp_path / "other", "llama", [json.dumps(row) for row in talks(0, 40)], seed=1)
    with pytest.raises(
        WeightsError, match=r"trained beside .*llama with weights sha256:.*bring back the base as it was"
    ):
        wenlu.load(tmp_path / "other").with_adapter(dora)  # type: ignore[union-attr]
    facts = json.loads((dora / "model/adapter_base.json").read_text())
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in (dora / "model").iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    (moved / "adapter_base.json").write_text(json.dumps({**facts, "base": str(tmp_path / "gone")}))
    with pytest.raises(WeightsError, match=r"its base cannot be loaded: .*gone.*with_adapter\("):
        wenlu.load(moved)
    (moved / "adapter_base.json").write_text(json.dumps({**facts, "bits": 3}))
    with pytest.raises(WeightsError, match=r"adapter_base\.json: should hold base, digest and bits"):
        wenlu.load(moved)


@pytest.mark.parametrize(("pooling", "bits"), [("mean", 16), ("own", 4)])
def test_a_classifier_learns_a_head_beside_the_adapter(home: Home, pooling: str, bits: int, tmp_path: Path) -> None:
    run = home.folder / f"labels-{pooling}-{bits}"
    wenlu.finetune(
        home.recipe(run.name, "text-classification", "bert"),
        run,
        [f"task.pooling={pooling}", f"adapter.base_bits={bits}"],
    )
    first = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    test = home.folder / "text-classification-test.jsonl"
    again = evaluate(str(run), [f"data.test={test}"])
    assert again.value("accuracy") == next(row["value"] for row in first["metrics"] if row["name"] == "accuracy")
    saved = load_file(run / "model/adapter_model.safetensors")
    assert ("base_model.model.classifier.weight" in saved) == (pooling == "own")
    assert (run / "model/task_head.safetensors").exists() == (pooling == "mean")
    if pooling == "own":
        assert wenlu.export(run, tmp_path / "out", ["format=hf"]).parity.equal  # type: ignore[union-attr]


def test_a_base_of_four_bits_is_trained_beside_loaded_so_and_exported_whole(home: Home, tmp_path: Path) -> None:
    run = home.run("qlora", adapter="base_bits = 4")
    bundle = wenlu.load(run)
    assert isinstance(bundle, Bundle)
    assert len(quantised_layers(bundle.model)) == 2 * 7
    assert logits(bundle).dtype == torch.float32
    done = wenlu.export(run, tmp_path / "out")
    whole = wenlu.load(done.path)
    assert isinstance(whole, Bundle)
    assert not quantised_layers(whole.model)
    torch.testing.assert_close(logits(whole), logits(bundle), rtol=1e-5, atol=1e-5)
    expected = merged_model(bundle.model).get_parameter("layers.0.mlp.up_proj.weight")
    torch.testing.assert_close(whole.model.get_parameter("layers.0.mlp.up_proj.weight"), expected)


def test_an_adapted_run_can_be_a_base_itself(home: Home, lora: Path) -> None:
    run = home.folder / "second"
    wenlu.pretrain(home.recipe("second"), run, [f"model.base={lora}", "adapter.rank=2"])
    facts = json.loads((run / "model/adapter_base.json").read_text())
    assert facts["base"] == str(lora)
    assert not torch.equal(logits(wenlu.load(run)), logits(wenlu.load(lora)))


def test_settings_that_do_not_fit_are_told(home: Home, tmp_path: Path) -> None:
    recipe = home.recipe("bad")
    with pytest.raises(
        ConfigError, match=r"adapter: stands beside a base; name it in model.base, or remove the section"
    ):
        wenlu.finetune(recipe, tmp_path / "a", ['model={family="llama"}'])
    with pytest.raises(ConfigError, match=r"adapter.targets: 'query' is no linear map of this model"):
        wenlu.finetune(recipe, tmp_path / "b", ['adapter.targets=["query"]'])
    with pytest.raises(ConfigError, match=r"adapter.also_train: no weight has 'embedding' in its name; parts of this"):
        wenlu.finetune(recipe, tmp_path / "b", ['adapter.also_train=["embedding"]'])
    with pytest.raises(ConfigError, match=r"rnk: unknown key; did you mean rank"):
        wenlu.finetune(recipe, tmp_path / "b", ["adapter.rnk=3"])


def test_what_is_also_trained_is_saved_whole(home: Home) -> None:
    run = home.run("norm", adapter='also_train = ["norm"]')
    saved = load_file(run / "model/adapter_model.safetensors")
    base, bundle = wenlu.load(home.folder / "llama"), wenlu.load(run)
    assert torch.equal(saved["base_model.model.model.norm.weight"], bundle.model.get_parameter("norm.weight"))  # type: ignore[union-attr]
    assert not torch.equal(saved["base_model.model.model.norm.weight"], base.model.get_parameter("norm.weight"))  # type: ignore[union-attr]
    assert json.loads((run / "model/adapter_config.json").read_text())["modules_to_save"] == ["model.norm"]


def test_the_checks_and_the_plan_take_an_adapter(home: Home) -> None:
    recipe, out = home.recipe("planned"), home.folder / "planned"
    found = wenlu.plan(recipe, ["plan.probe_seconds=0.1"], out=out)
    learnt = 2 * 4 * (4 * (32 + 32) + 3 * (32 + 64))
    assert 3 * 4 * learnt < found.forecast.disk_peak
    if PROOF:  # ten seconds; the check of gradients is in tests/training/test_adapter_training.py
        assert wenlu.check(recipe, out, ["train.context=48"]).failures == ()


def test_the_ladder_has_a_rung_with_an_adapter(home: Home) -> None:
    recipe = home.recipe("ladder", "text-classification", "bert")
    settings = [f"compare.decoder={home.folder / 'llama'}", 'compare.rungs=["adapter"]', "compare.ablation=false"]
    ladder = verbs.ladder(recipe, home.folder / "ladder", settings)
    (rung,) = ladder.standings
    assert rung.name == "adapter"
    assert "llama with an adapter" in rung.outcome.what


def test_a_folder_of_peft_loads_with_its_base_and_goes_back(home: Home, tmp_path: Path) -> None:
    plain = transformers.AutoModelForCausalLM.from_pretrained(home.folder / "llama")
    theirs = peft.get_peft_model(plain, peft.LoraConfig(r=2, target_modules=["v_proj"], init_lora_weights=False))
    theirs.save_pretrained(tmp_path / "theirs")
    bundle = wenlu.load(tmp_path / "theirs")
    assert isinstance(bundle, Bundle)
    assert bundle.require_causal().name == "causal-lm"
    assert bundle.tokenizer.decode(bundle.tokenizer.encode("cat 1")) == "cat 1"
    with torch.no_grad():
        torch.testing.assert_close(logits(bundle), theirs.eval()(IDS).logits, rtol=1e-5, atol=1e-5)
    wenlu.export(tmp_path / "theirs", tmp_path / "again", ["format=peft"])
    before, after = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("theirs", "again"))
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert json.loads((tmp_path / "again/adapter_base.json").read_text())["digest"].startswith("sha256:")
    path = tmp_path / "theirs/adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": str(tmp_path / "theirs")}))
    with pytest.raises(WeightsError, match=r"its base cannot be loaded: .*theirs is the adapter itself"):
        wenlu.load(tmp_path / "theirs")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": None}))
    with pytest.raises(WeightsError, match="base_model_name_or_path is empty; write there what the adapter stands"):
        wenlu.load(tmp_path / "theirs")
    base = wenlu.load(home.folder / "llama")
    assert isinstance(base, Bundle)
    assert torch.equal(logits(base.with_adapter(tmp_path / "theirs")), logits(bundle))


def test_several_tasks_share_an_adapter(home: Home) -> None:
    files = {part: str(home.folder / f"text-classification-{part}.jsonl") for part in ("train", "test")}
    own = {"split_by": "random", "steps": ["repair"], "validation": 0.1, "workers": 1}
    members = "".join(
        f"[members.{name}.task]\nname = 'text-classification'\n[members.{name}.data]\n"
        + "".join(f"{key} = {json.dumps(value)}\n" for key, value in {**files, **own}.items())
        for name in ("one", "two")
    )
    text = home.recipe("several", "text-classification", "bert").read_text(encoding="utf-8")
    before, _, rest = text.partition("[data]")
    text = (
        before.replace('name = "text-classification"', 'name = "multi-task"') + "[model]" + rest.partition("[model]")[2]
    )
    recipe = home.folder / "several.toml"
    recipe.write_text(text + members, encoding="utf-8")
    wenlu.finetune(recipe, home.folder / "several")
    found = json.loads((home.folder / "several/evaluation.json").read_text(encoding="utf-8"))
    assert {*found["members"]} == {"one", "two"}
    assert (home.folder / "several/model/adapter_model.safetensors").exists()
    bundle = wenlu.load(home.folder / "several", task="two")
    assert bundle.task is not None
    assert bundle.task.name == "text-classification"


def test_parts_of_the_base_are_not_shared_out_among_processes(home: Home) -> None:
    recipe = load_settings(Recipe, home.recipe("fsdp"), ["distributed.parallel=fsdp"])
    check_processes(recipe, 1)
    with pytest.raises(UsageError, match=r"adapter: each process holds the whole base; set distributed.parallel="):
        check_processes(recipe, 2)
