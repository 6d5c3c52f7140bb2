"""A whole life of word vectors at tiny size: stages, files, evaluation, prediction."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

import wenlu
from wenlu.bundle import VectorsBundle, load, load_any
from wenlu.cli.evaluate import evaluate
from wenlu.cli.predict import predict
from wenlu.cli.run import run
from wenlu.errors import ConfigError, UsageError
from wenlu.lifecycle.cache import StageCache
from wenlu.models.vectors import save_text

ENGLISH, CHINESE = Path("recipes/word2vec.toml"), Path("recipes/fasttext-zh.toml")
FAST = ["vectors.size=16", "vectors.epochs=2", "words.min_count=2", "evaluate.resamples=100", "data.test=0.1"]
SMALL = [*FAST, "vectors.buckets=300"]


def texts(folder: Path, chinese: bool = False) -> str:
    draw = random.Random(3)
    line = "king queen man woman boy girl tiger cat money cash car train plane walked walking music art"
    english = line.split(" ")
    words = ["国王", "王后", "苹果", "香蕉", "老师", "学生", "中国", "北京", "经济", "音乐"] if chinese else english
    join = "" if chinese else " "
    path = folder / "texts.jsonl"
    rows = [
        {"text": join.join(draw.choices(words, k=30)).capitalize() + ("。" if chinese else ".")} for _ in range(150)
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return f"data.train={path}"


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("english")
    wenlu.run(ENGLISH, folder / "run", [*FAST, texts(folder)])
    return folder / "run"


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chinese")
    steps = 'data.steps=["repair", "exact-dedup"]'
    wenlu.run(CHINESE, folder / "run", [*SMALL, steps, texts(folder, chinese=True)])
    return folder / "run"


def call(verb: object, *arguments: str | Path, stdin: str | None = None) -> Result:
    app = typer.Typer()
    app.command()(verb)  # type: ignore[arg-type]
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin, env={"COLUMNS": "120"})


def test_a_life_leaves_a_whole_run_directory(english: Path) -> None:
    expected = {"config.toml", "provenance.json", "events.jsonl", "data", "words", "model", "stages.json"}
    assert expected | {"evaluation.json", "samples.json", "report.html"} <= {entry.name for entry in english.iterdir()}
    assert set(StageCache(english).seconds()) == {"data", "words", "vectors", "evaluate", "samples", "report"}
    assert {path.name for path in (english / "model").iterdir()} == {"config.json", "model.safetensors", "words.json"}
    assert wenlu.runs(english.parent)[0].state == "finished"


def test_a_second_run_does_nothing_and_a_changed_setting_reruns_what_follows(english: Path) -> None:
    def stamps() -> dict[str, int]:
        names = ("words/train.txt", "model/model.safetensors", "evaluation.json", "report.html")
        return {name: (english / name).stat().st_mtime_ns for name in names}

    data = next(line for line in (english / "config.toml").read_text().splitlines() if line.startswith("path"))
    settings = [*FAST, f"data.train={data.partition('=')[2].strip()}"]
    before = stamps()
    wenlu.run(ENGLISH, english, settings)
    assert stamps() == before
    wenlu.run(ENGLISH, english, [*settings, "word_tests.neighbours_of=['king']"])
    after = stamps()
    assert after["model/model.safetensors"] == before["model/model.safetensors"]
    assert after["report.html"] > before["report.html"]
    assert [sample["prompt"] for sample in json.loads((english / "samples.json").read_text())] == ["king"]


def test_the_resolved_settings_give_the_same_vectors_bit_for_bit(english: Path, tmp_path: Path) -> None:
    wenlu.pretrain(english / "config.toml", tmp_path / "again")
    for name in ("model/model.safetensors", "model/words.json", "words/train.txt"):
        assert (tmp_path / "again" / name).read_bytes() == (english / name).read_bytes(), name


def test_the_evaluation_has_each_set_and_the_text(english: Path) -> None:
    content = json.loads((english / "evaluation.json").read_text())
    names = [metric["name"] for metric in content["metrics"]]
    assert names[0] == "wordsim353_spearman"
    assert names[-1] == "text_coverage"
    by_name = {metric["name"]: metric for metric in content["metrics"]}
    assert by_name["text_coverage"]["value"] == 1.0
    assert 0 < by_name["wordsim353_coverage"]["value"] < 0.1
    assert by_name["questions-words_accuracy"]["n"] == content["sets"][2]["known"] > 0


def test_the_report_says_what_was_made(english: Path, chinese: Path) -> None:
    page = (english / "report.html").read_text()
    assert "A word2vec model of" in page
    assert "wordsim353 spearman" in page
    assert "The nearest words to each word or sum" in page
    assert "fasttext 模型" in (chinese / "report.html").read_text()


def test_evaluate_prints_the_sets_side_by_side(english: Path) -> None:
    result = call(evaluate, english)
    assert result.exit_code == 0, result.output
    sets = ["wordsim353", "simlex999", "questions-words", "held-out text"]
    for part in ("95 % interval", "coverage", "spearman", "accuracy", *sets):
        assert part in result.stdout
    found = json.loads(call(evaluate, english, "--json").stdout)
    kept = json.loads((english / "evaluation.json").read_text())
    assert found["metrics"] == kept["metrics"]


def test_a_text_file_of_vectors_is_evaluated_and_asked_too(english: Path, tmp_path: Path) -> None:
    bundle = load_any(english)
    assert isinstance(bundle, VectorsBundle)
    save_text(bundle.model, tmp_path / "a.vec")
    again = wenlu.load(tmp_path / "a.vec")
    np.testing.assert_array_equal(again.model.matrix, bundle.model.matrix)
    found = json.loads(call(evaluate, tmp_path / "a.vec", "evaluate.resamples=100", "--json").stdout)
    kept = json.loads((english / "evaluation.json").read_text())
    assert [metric["value"] for metric in found["metrics"]] == [m["value"] for m in kept["metrics"][:-1]]
    lines = [call(predict, path, "--text", "king", "--json").stdout for path in (tmp_path / "a.vec", english)]
    assert lines[0] == lines[1]


def test_predict_names_the_neighbours(english: Path) -> None:
    line = json.loads(call(predict, english, "--text", "king - man + woman", "neighbours=3", "--json").stdout)
    assert line.keys() == {"id", "prompt", "prediction", "score", "text", "predictions", "signature"}
    assert line["prediction"] == line["predictions"][0]["word"]
    assert line["score"] == line["predictions"][0]["score"] >= line["predictions"][1]["score"]
    assert line["text"].split() == [found["word"] for found in line["predictions"]]
    assert not {"king", "man", "woman"} & set(line["text"].split())
    shown = call(predict, english, "--text", "king - man + woman", "neighbours=3").stdout
    assert [row.split() for row in shown.splitlines()] == [
        [f"{found['score']:.4f}", found["word"]] for found in line["predictions"]
    ]


def test_predict_answers_a_file_and_goes_on_where_it_stopped(english: Path, tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.txt", tmp_path / "out.jsonl"
    rows.write_text("King\nxyzzy\nking +\n\ncar + train\n")
    result = call(predict, english, rows, "neighbours=2", "--out", out, "--json")
    assert result.exit_code == 3
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["id"] for line in lines] == ["rows.txt:1", "rows.txt:2", "rows.txt:3", "rows.txt:5"]
    assert "'xyzzy' is not among the" in lines[1]["error"]
    assert "no word behind '+'" in lines[2]["error"]
    whole = out.read_text()
    out.write_text("".join(whole.splitlines(keepends=True)[:2]))
    call(predict, english, rows, "neighbours=2", "--out", out)
    assert out.read_text() == whole
    with pytest.raises(UsageError, match="was written with another model or other settings"):
        CliRunner().invoke(_app(), [str(english), str(rows), "--out", str(out)], catch_exceptions=False)


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command()(predict)
    return app


def test_an_unknown_word_and_an_unknown_setting_are_errors(english: Path) -> None:
    for arguments, error, message in (
        (["--text", "xyzzy"], UsageError, "'xyzzy' is not among the"),
        (["--text", "king", "neighbors=3"], ConfigError, "neighbors: unknown key; did you mean neighbours?"),
        (["--text", "king", "--out", "x"], UsageError, "--text answers on the screen"),
    ):
        with pytest.raises(error, match=re.escape(message)):
            CliRunner().invoke(_app(), [str(english), *arguments], catch_exceptions=False)


def test_chinese_is_cut_into_words_and_unknown_words_have_vectors(chinese: Path) -> None:
    lines = (chinese / "words/train.txt").read_text().splitlines()
    words = json.loads((chinese / "model/words.json").read_text())
    assert {word for line in lines for word in line.split(" ")} == set(words)
    assert "国王" in lines[0] + lines[1]
    assert "。" not in "".join(lines)
    bundle = load_any(chinese)
    assert isinstance(bundle, VectorsBundle)
    assert "女王" not in bundle.model
    assert len(bundle.model.neighbours(["女王"], count=3)) == 3
    assert bundle.config.training["algorithm"] == "fasttext"
    assert json.loads((chinese / "evaluation.json").read_text())["sets"] == []


def test_run_prints_the_table_and_what_to_try_next(english: Path, tmp_path: Path) -> None:
    result = call(run, english / "config.toml", "train.allocator=as-is", "--out", tmp_path / "again")
    assert result.exit_code == 0, result.output
    assert "wordsim353" in result.stdout
    assert f"wenlu predict {tmp_path / 'again'} --text king" in result.stdout
    assert "bits per byte" not in result.stdout


def test_evaluating_a_recipe_runs_it_first(english: Path, tmp_path: Path) -> None:
    result = call(evaluate, english / "config.toml", "--out", tmp_path / "scored", "--json")
    assert json.loads(result.stdout)["metrics"] == json.loads((english / "evaluation.json").read_text())["metrics"]


@pytest.mark.parametrize("setting", ["tokenizer.vocab_size=300", "model.family=gpt2", "optimizer.lr=1"])
def test_a_section_without_a_part_in_it_is_refused(setting: str, tmp_path: Path) -> None:
    section = setting.partition(".")[0]
    with pytest.raises(ConfigError, match=re.escape(f"[{section}]: has no part in a recipe with [vectors]")):
        wenlu.run(ENGLISH, tmp_path / "run", [setting, texts(tmp_path)])
    assert not (tmp_path / "run" / "data").exists()


@pytest.mark.parametrize("setting", ["words.min_count=7", "word_tests.neighbours=3", "words.lowercase=false"])
def test_sections_of_word_vectors_alone_say_what_is_missing(setting: str, tmp_path: Path) -> None:
    section = setting.partition(".")[0]
    with pytest.raises(ConfigError, match=f"{section}: is for recipes of word vectors; add the section \\[vectors]"):
        wenlu.run(Path("recipes/tiny.toml"), tmp_path / "run", [setting])


def test_what_needs_a_language_model_refuses_vectors(english: Path) -> None:
    with pytest.raises(UsageError, match="holds word vectors, which read no text; ask them: wenlu predict"):
        load(english)
