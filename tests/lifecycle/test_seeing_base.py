"""Lives that begin with a model in a published layout that converses about pictures, and sees large ones in tiles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.lifecycle.test_pictured_life import CAPTION, shapes
from tests.seeing_folder import seeing_folder
from typer.testing import CliRunner

import wenlu
from wenlu.cli.app import app as main
from wenlu.corpus.pictures.sight import Shown
from wenlu.generation.picture_chat import PictureChat
from wenlu.lifecycle import verbs
from wenlu.models import family
from wenlu.models.weights import save_model
from wenlu.tasks import Captioning
from wenlu.tasks.pictured.writing import PicturedPair
from wenlu.tokenizers import TokenizerConfig, train_tokenizer

TALK = """
name = "talk"
check = false

[task]
name = "dialogue"

[data]
train = {{path = "{path}"}}
steps = []
validation = 0.2
test = 0.2

[model]
base = "{base}"

[train]
duration = "2 steps"
context = 64
batch_size = 2
validations = 1
checkpoints = 1
allocator = "as-is"
threads = 1

[evaluate]
resamples = 100
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    seeing_folder(folder)
    return folder


def test_captions_are_learnt_from_tiles(base: Path, tmp_path: Path) -> None:
    pictures, recipe = shapes(tmp_path / "shapes"), tmp_path / "caption.toml"
    text = CAPTION.format(path=pictures, steps=3).replace("picture_size = 32\n", "")
    sizes = text[text.index("[tokenizer]") : text.index("[train]")]
    text = text.replace(sizes, f'[model]\nbase = "{base}"\n\n').replace("context = 32", "context = 160")
    recipe.write_text(text, encoding="utf-8")
    verbs.finetune(recipe, tmp_path / "run")
    before, after = wenlu.load(base), wenlu.load(tmp_path / "run")
    assert isinstance(after.task, Captioning)
    one = PicturedPair("", picture=Shown.at(str(pictures / "red-bar-1.png")))
    ids = after.task.prompts([one], 160)[0]
    assert ids.count(after.tokenizer.special_tokens["<image>"]) == 10 * 4, "nine tiles, and the whole"
    first = before.model.state_dict()
    moved = {name for name, weight in after.model.state_dict().items() if not weight.equal(first[name])}
    assert any(name.startswith("vision.") for name in moved)
    asked = CliRunner().invoke(main, ["predict", str(tmp_path / "run"), str(pictures / "red-bar-1.png")])
    assert "prediction" in json.loads(asked.stdout)


def test_who_learns_to_talk_goes_on_to_see(base: Path, tmp_path: Path) -> None:
    talks = tmp_path / "talks.jsonl"
    things = (
        "red square",
        "blue bird",
        "green hill",
        "white house",
        "tall tree",
        "yellow sun",
        "small cat",
        "old ship",
    )
    told = [
        [{"role": "user", "content": f"{number} of what?"}, {"role": "assistant", "content": f"{number} {thing}s."}]
        for number, thing in enumerate(things)
    ]
    talks.write_text("".join(f"{json.dumps({'messages': turns})}\n" for turns in told), encoding="utf-8")
    recipe = tmp_path / "talk.toml"
    recipe.write_text(TALK.format(path=talks, base=base), encoding="utf-8")
    verbs.finetune(recipe, tmp_path / "run")
    assert PictureChat.of(wenlu.load(tmp_path / "run")) is not None
    verbs.finetune(recipe, tmp_path / "beside", ["adapter.rank=2"])
    assert PictureChat.of(wenlu.load(tmp_path / "beside")) is not None


def test_an_export_keeps_how_its_model_sees_and_no_settings_of_other_machinery(base: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["export", str(base), "--out", str(tmp_path / "export")])
    assert done.exit_code == 0, done.output
    before, after = (PictureChat.of(wenlu.load(folder)) for folder in (base, tmp_path / "export"))
    assert before is not None
    assert after is not None
    assert after.sight == before.sight

    text = tmp_path / "text"
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=270), ["a red square, a red bird"] * 3)
    tokenizer.save(text)
    row = family("llama")
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    save_model(text, row.build(row.config(vocab_size=tokenizer.vocab_size, **sizes)), row)
    (text / "preprocessor_config.json").write_text('{"feature_extractor_type": "WhisperFeatureExtractor"}')
    done = CliRunner().invoke(main, ["export", str(text), "--out", str(tmp_path / "again")])
    assert done.exit_code == 0, done.output
