"""Lives of models that look at pictures: from the user's files to an answer on the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet
from typer.testing import CliRunner

import wenlu
from wenlu.cli.app import app as main
from wenlu.corpus.pictures.store import PictureData
from wenlu.lifecycle import verbs
from wenlu.models.siglip import Siglip
from wenlu.tasks import ImageTextRetrieval

COLOURS = {
    "red": (230, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 230), "white": (250, 250, 250),
    "black": (5, 5, 5), "yellow": (240, 230, 30), "pink": (250, 120, 180), "grey": (128, 128, 128),
}  # fmt: skip
SHAPES = ("square", "bar", "column")
PROOF = os.environ.get("WENLU_PROOF") == "1"

MATCH = """
name = "tiny"
check = false

[task]
name = "image-text-retrieval"
picture_size = 32

[data]
train = {{path = "{path}/shapes.csv"}}
image = "file"
text = "said"
steps = []
validation = 0.15
test = 0.25
split_by = "picture"

[tokenizer]
vocab_size = 280

[model]
family = "siglip"
hidden_size = 64
intermediate_size = 128
num_hidden_layers = 1
num_attention_heads = 2
max_position_embeddings = 32
vision_config = {{image_size = 32, patch_size = 8}}

[train]
duration = "{steps} steps"
context = 32
batch_size = 16
zero_outputs = false
validations = 2
checkpoints = 1
allocator = "as-is"
threads = 1
dtype = "float32"

[optimizer]
lr = 1e-3

[evaluate]
resamples = 100
"""

CAPTION = (
    MATCH.replace('"image-text-retrieval"', '"captioning"')
    .replace("max_position_embeddings = 32\n", "")
    .replace("siglip", "smolvlm")
    .replace("lr = 1e-3", "lr = 2e-3")
    + "\n[generate]\nmax_new_tokens = 16\n"
)
ASK = (
    CAPTION.replace('"captioning"', '"visual-question-answering"\nmax_target_tokens = 8')
    .replace("shapes.csv", "questions.jsonl")
    .replace('text = "said"\n', "")
    .replace("context = 32", "context = 48")
)


def shapes(folder: Path) -> Path:
    """Pictures of every shape in every colour on five grounds, and tables that say and ask what they show."""
    folder.mkdir()
    lines = ["file,said"]
    for number in range(5):
        for colour, rgb in COLOURS.items():
            for shape in SHAPES:
                image = Image.new("RGB", (40, 40), (60 + 10 * number,) * 3)
                box = {"square": (10, 10, 30, 30), "bar": (2, 14, 38, 26), "column": (14, 2, 26, 38)}[shape]
                image.paste(rgb, box)
                name = f"{colour}-{shape}-{number}.png"
                image.save(folder / name)
                lines.append(f"{name},a {colour} {shape}")
    questions = [
        {"question": f"which {what}?", "answer": answer, "file": name}
        for name, said in (line.split(",") for line in lines[1:])
        for what, answer in zip(("colour", "shape"), said.split(" ")[1:], strict=True)
    ]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions), encoding="utf-8")
    (folder / "shapes.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def matched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of pictures, and the finished run."""
    root = tmp_path_factory.mktemp("matched")
    pictures, recipe = shapes(root / "shapes"), root / "match.toml"
    recipe.write_text(MATCH.format(path=pictures, steps=400), encoding="utf-8")
    verbs.finetune(recipe, root / "run")
    return pictures, root / "run"


def test_it_finds_the_picture_and_its_controls_do_not(matched: tuple[Path, Path]) -> None:
    found = json.loads((matched[1] / "evaluation.json").read_text(encoding="utf-8"))
    scores = {score["name"]: score for score in found["metrics"]}
    assert found["headline"]["name"] == "image_recall_at_1"
    assert scores["image_recall_at_1"]["value"] > 0.5
    assert scores["blind_image_recall_at_1"]["value"] < 0.4
    assert scores["shuffled_text_recall_at_1"]["value"] < 0.4
    assert "pictures:blind" in scores["blind_image_recall_at_1"]["signature"]
    names = [f"{of}_recall_at_{k}" for of in ("image", "text") for k in (1, 5, 10)]
    assert {*names, *(f"blind_{name}" for name in names), *(f"shuffled_{name}" for name in names)} < {*scores}
    assert found["difference"]["verdict"] == "better"


def test_pictures_are_stored_at_the_size_that_the_task_sees(matched: tuple[Path, Path]) -> None:
    store = PictureData.open(matched[1] / "pictures")
    assert (store.longest, len(store)) == (32, 120)
    bundle = wenlu.load(matched[1])
    assert isinstance(bundle.task, ImageTextRetrieval)
    assert isinstance(bundle.model, Siglip)
    assert bundle.task.seeing.longest == 32
    assert bundle.task.seeing.processing.size == {"height": 32, "width": 32}
    assert (matched[1] / "model" / "preprocessor_config.json").is_file()


def test_stored_pictures_and_files_are_seen_alike(matched: tuple[Path, Path]) -> None:
    from wenlu.corpus.prepare import read_split
    from wenlu.lifecycle.pictures import with_pictures

    task = wenlu.load(matched[1]).task
    assert isinstance(task, ImageTextRetrieval)
    shown = [type(task).example_of(record, task.config).picture for record in read_split(matched[1] / "data", "test")]
    by_file, by_store = task.seeing.gallery(shown), with_pictures(task, matched[1]).seeing.gallery(shown)
    assert all(isinstance(found, int) for found in by_store.found)
    numbers = list(range(len(by_file)))
    assert np.array_equal(by_file.values(numbers), by_store.values(numbers))


def test_predict_names_pictures_of_a_folder_a_table_and_lines(matched: tuple[Path, Path]) -> None:
    pictures, run = matched
    folder = pictures.parent / "asked"
    folder.mkdir()
    for name in ("red-bar-1.png", "blue-bar-1.png"):
        (folder / name).write_bytes((pictures / name).read_bytes())
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n?")
    asked = CliRunner().invoke(main, ["predict", str(run), str(folder), "labels=a red bar,a blue bar"])
    assert asked.exit_code == 3, asked.output
    lines = {line["id"].rpartition("/")[2]: line for line in map(json.loads, asked.stdout.splitlines())}
    assert lines["red-bar-1.png"]["prediction"] == "a red bar"
    assert lines["blue-bar-1.png"]["prediction"] == "a blue bar"
    assert "broken.png" in lines["broken.png"]["error"]

    one = str(folder / "blue-bar-1.png")
    shown = CliRunner().invoke(main, ["predict", str(run), "--text", one, "labels=a red bar,a blue bar"])
    assert shown.stdout.startswith("a blue bar  ")
    listed = CliRunner().invoke(
        main, ["predict", str(run), "-", "labels=a red bar,a blue bar"], input=f"{one}\nno.png\n"
    )
    first, second = map(json.loads, listed.stdout.splitlines())
    assert first["prediction"] == "a blue bar"
    assert "no.png: No such file" in second["error"]

    vectors = CliRunner().invoke(main, ["predict", str(run), one])
    assert len(json.loads(vectors.stdout)["prediction"]) == 64


def test_a_missing_picture_is_told_with_its_row(tmp_path: Path) -> None:
    pictures, recipe = shapes(tmp_path / "shapes"), tmp_path / "match.toml"
    (pictures / "red-bar-0.png").unlink()
    recipe.write_text(MATCH.format(path=pictures, steps=2), encoding="utf-8")
    with pytest.raises(wenlu.errors.DataError, match=r"red-bar-0\.png"):
        verbs.finetune(recipe, tmp_path / "run")


def test_a_damaged_picture_is_dropped_and_counted(tmp_path: Path) -> None:
    pictures, recipe = shapes(tmp_path / "shapes"), tmp_path / "match.toml"
    (pictures / "red-bar-0.png").write_bytes(b"\x89PNG\r\n\x1a\n?")
    recipe.write_text(MATCH.format(path=pictures, steps=2), encoding="utf-8")
    verbs.finetune(recipe, tmp_path / "run")
    told = json.loads((tmp_path / "run/data/statistics.json").read_text(encoding="utf-8"))
    assert "damaged picture" in json.dumps(told)
    assert len(PictureData.open(tmp_path / "run/pictures")) == 119


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("captioned")
    pictures, recipe = shapes(root / "shapes"), root / "caption.toml"
    recipe.write_text(CAPTION.format(path=pictures, steps=300), encoding="utf-8")
    verbs.finetune(recipe, root / "run")
    return pictures, root / "run"


def test_it_says_what_a_picture_shows_and_its_controls_do_not(captioned: tuple[Path, Path]) -> None:
    found = json.loads((captioned[1] / "evaluation.json").read_text(encoding="utf-8"))
    scores = {score["name"]: score["value"] for score in found["metrics"]}
    assert found["headline"]["name"] == "chrf"
    assert scores["exact_match"] > 0.6
    assert scores["blind_exact_match"] <= 0.2
    assert scores["shuffled_exact_match"] <= 0.3
    assert {"baseline_chrf", "bits_per_byte", "blind_chrf", "shuffled_rougeL"} <= {*scores}


def test_captions_are_predicted_for_files_and_beams(captioned: tuple[Path, Path]) -> None:
    pictures, run = captioned
    one = str(pictures / "red-bar-1.png")
    asked = CliRunner().invoke(main, ["predict", str(run), one])
    line = json.loads(asked.stdout)
    assert line["prediction"].startswith("a ")
    beams = CliRunner().invoke(main, ["predict", str(run), one, "num_beams=2"])
    assert json.loads(beams.stdout)["prediction"].startswith("a ")
    (pictures.parent / "text.png").write_bytes(b"hello")
    wrong = CliRunner().invoke(main, ["predict", str(run), str(pictures.parent / "text.png")])
    assert "not a picture that is read" in str(wrong.exception)
    table = CliRunner().invoke(main, ["predict", str(run), str(pictures / "shapes.csv"), "image=file"])
    rows = [json.loads(row) for row in table.stdout.splitlines()]
    assert len(rows) == 120
    assert rows[0]["prediction"].startswith("a ")


def test_questions_about_pictures_are_answered(tmp_path: Path) -> None:
    pictures, recipe = shapes(tmp_path / "shapes"), tmp_path / "ask.toml"
    recipe.write_text(ASK.format(path=pictures, steps=300 if PROOF else 10), encoding="utf-8")
    verbs.finetune(recipe, tmp_path / "run")
    found = json.loads((tmp_path / "run/evaluation.json").read_text(encoding="utf-8"))
    scores = {score["name"]: score["value"] for score in found["metrics"]}
    assert found["headline"]["name"] == "exact_match"
    assert {"baseline_exact_match", "blind_exact_match", "shuffled_answer_f1"} < {*scores}
    if PROOF:
        assert scores["exact_match"] > scores["baseline_exact_match"] + 0.2
        assert scores["exact_match"] > scores["blind_exact_match"] + 0.2
    asked = tmp_path / "asked.jsonl"
    row = {"question": "which colour?", "file": str(pictures / "green-bar-0.png")}
    asked.write_text(json.dumps(row) + "\n", encoding="utf-8")
    told = CliRunner().invoke(main, ["predict", str(tmp_path / "run"), str(asked)])
    answer = json.loads(told.stdout)["prediction"]
    assert answer in COLOURS if PROOF else isinstance(answer, str)


def test_chat_takes_paths(captioned: tuple[Path, Path]) -> None:
    pictures, run = captioned
    told = CliRunner().invoke(main, ["chat", str(run)], input=f"{pictures / 'red-bar-1.png'}\n{pictures / 'no.png'}\n")
    answer, error = told.stdout.splitlines()
    assert answer.startswith("a ")
    assert "No such file" in error


def test_a_second_stage_moves_the_projection_alone_or_matrices_beside_all(
    captioned: tuple[Path, Path], tmp_path: Path
) -> None:
    pictures, first = captioned
    recipe = tmp_path / "second.toml"
    text = CAPTION.format(path=pictures, steps=3)
    sizes = text[text.index('family = "smolvlm"') : text.index("[train]")]
    recipe.write_text(text.replace(sizes, f'base = "{first}"\n\n'), encoding="utf-8")
    verbs.finetune(recipe, tmp_path / "projection", ['train.frozen=["vision","layers"]'])
    before, after = (wenlu.load(run).model.state_dict() for run in (first, tmp_path / "projection"))
    moved = {name for name, weight in after.items() if not weight.equal(before[name])}
    assert "connector.proj.weight" in moved
    assert not any(name.startswith(("vision.", "layers.")) for name in moved)

    verbs.finetune(recipe, tmp_path / "beside", ["adapter.rank=2"])
    bundle = wenlu.load(tmp_path / "beside")
    assert (tmp_path / "beside/model/adapter_config.json").is_file()
    assert bundle.task is not None
    asked = CliRunner().invoke(main, ["predict", str(tmp_path / "beside"), str(pictures / "red-bar-1.png")])
    assert "prediction" in json.loads(asked.stdout)


def test_pictures_come_out_of_parquet(captioned: tuple[Path, Path], tmp_path: Path) -> None:
    pictures, run = captioned
    names = ["red-bar-1.png", "blue-square-0.png"]
    rows = {"image": [{"bytes": (pictures / name).read_bytes(), "path": name} for name in names]}
    parquet.write_table(pa.table(rows), tmp_path / "rows.parquet")
    asked = CliRunner().invoke(main, ["predict", str(run), str(tmp_path / "rows.parquet"), "image=image"])
    by_bytes = [json.loads(line)["prediction"] for line in asked.stdout.splitlines()]
    by_file = [
        json.loads(CliRunner().invoke(main, ["predict", str(run), str(pictures / name)]).stdout)["prediction"]
        for name in names
    ]
    assert by_bytes == by_file


@pytest.mark.parametrize("recipe", [MATCH, CAPTION, *([ASK] if PROOF else [])])
def test_the_checks_before_training_pass(recipe: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.format(path=shapes(tmp_path / "shapes"), steps=50).replace("check = false\n", ""))
    report = verbs.check(path)
    assert [finding for finding in report.findings if finding.verdict == "failure"] == []
    assert {"overfit-8", "leakage"} <= {finding.name for finding in report.findings}
