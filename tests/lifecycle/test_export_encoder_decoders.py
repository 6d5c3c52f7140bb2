"""Encoder–decoders that are exported answer as before, to us and to `transformers`."""

from __future__ import annotations

import json
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path

import pytest
import torch
import transformers
from typer.testing import CliRunner

import wenlu
from wenlu.cli.app import app
from wenlu.errors import WeightsError
from wenlu.generation.settings import SamplingConfig
from wenlu.generation.text import complete
from wenlu.lifecycle.model_folder import write_model_folder
from wenlu.lifecycle.parity_texts import TEXTS
from wenlu.models import FAMILIES, Ability, Family, family
from wenlu.tasks import new_task, read_settings
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer

ROWS = [row for row in FAMILIES if Ability.ENCODER_DECODER in row.abilities]
SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES |= {"max_position_embeddings": 256}
TASK = read_settings({"name": "span-corruption", "sentinels": 4})
families = pytest.mark.parametrize("row", ROWS, ids=attrgetter("name"))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    rules = TokenizerConfig(vocab_size=320, min_frequency=1, extra_special_tokens=TASK.special_tokens)
    return train_tokenizer(rules, TEXTS * 2)


@pytest.fixture
def write(tokenizer: Tokenizer, tmp_path: Path) -> Callable[[Family], Path]:
    """Writes a tiny model with random weights to a folder, as one that was trained here to fill gaps."""

    def make(row: Family) -> Path:
        end, spread = tokenizer.eos_id, {"initializer_range": 0.4}  # so that answers are no single token, repeated
        given = {
            **SIZES,
            "pad_token_id": tokenizer.pad_id,
            "eos_token_id": end,
            "bos_token_id": end,
            "decoder_start_token_id": end,
            **({"initializer_range": 1.0, "tie_word_embeddings": False} if "t5" in row.name else spread),
        }
        fitting = {name: value for name, value in given.items() if name in row.config.model_fields}
        torch.manual_seed(0)
        model = row.build(row.config(vocab_size=tokenizer.vocab_size, **fitting)).eval()  # type: ignore[arg-type]
        path = tmp_path / "model"
        path.mkdir()
        write_model_folder(path, model, row, tokenizer, generation={}, card="")
        new_task(TASK, tokenizer).save(path, model, row)
        return path

    return make


def answer(path: Path, text: str) -> str:
    return complete(wenlu.load(path), [text], SamplingConfig(max_new_tokens=12))[0].text


@families
def test_a_folder_is_whole_and_answers_alike(
    row: Family, write: Callable[[Family], Path], tmp_path: Path, tokenizer: Tokenizer
) -> None:
    source = write(row)
    done = wenlu.export(source, tmp_path / "out")
    assert (done.parity.kind, done.parity.equal, done.parity.max_difference) == ("seq2seq", True, 0.0)
    assert done.parity.same_continuation
    said = json.loads((done.path / "generation_config.json").read_text())
    assert said["decoder_start_token_id"] == said["eos_token_id"] == tokenizer.eos_id
    for text in (*TEXTS[:2], "Tea <extra_id_0> in England"):
        assert answer(done.path, text) == answer(source, text)
    task = wenlu.load(done.path).task
    assert task is not None
    assert task.name == "span-corruption"
    half = wenlu.export(source, tmp_path / "half", ["dtype=bfloat16"])
    assert wenlu.load(half.path).model.lm_head.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("row", [row for row in ROWS if row.hf_types], ids=attrgetter("name"))
def test_transformers_answers_a_text_alike(row: Family, write: Callable[[Family], Path], tmp_path: Path) -> None:
    path = wenlu.export(write(row), tmp_path / "out").path
    (path / "task.json").unlink()  # the end behind a source stands in tokenizer.json too
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(path).eval()
    theirs = transformers.AutoTokenizer.from_pretrained(path)
    bundle = wenlu.load(path)
    answers: list[str] = []
    for text in TEXTS:
        given = theirs(text, return_tensors="pt", return_token_type_ids=False)
        assert given["input_ids"][0].tolist() == [*bundle.tokenizer.encode(text), bundle.tokenizer.eos_id]
        ids = model.generate(**given, max_new_tokens=12, do_sample=False)
        answers.append(answer(path, text))
        assert theirs.decode(ids[0], skip_special_tokens=True) == answers[-1]
    assert len(set(answers)) > 2
    assert all(answers)


def test_gguf_has_no_form_of_them_and_says_so(write: Callable[[Family], Path], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="of family t5 has no form in GGUF"):
        wenlu.export(write(family("t5")), tmp_path / "out", ["format=gguf"])
    assert not (tmp_path / "out").exists()


def test_the_verb_shows_the_numbers(write: Callable[[Family], Path], tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["export", str(write(family("bart"))), "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0, shown.output
    assert "bits per byte" in shown.stdout
    assert "the two answer alike" in shown.stdout
