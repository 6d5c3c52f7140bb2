"""`wenlu predict` as a user calls it."""

from __future__ import annotations

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from wenlu.cli.predict import predict
from wenlu.errors import ConfigError, UsageError, WeightsError
from wenlu.models import family
from wenlu.models.weights import save_model
from wenlu.tokenizers import TokenizerConfig, train_tokenizer

SHORT = ["max_new_tokens=5", "temperature=0.8"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny random model in a folder."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=280, min_frequency=1), ["The cat sat. 今天天气很好。"] * 3)
    tokenizer.save(folder)
    torch.manual_seed(0)
    row = family("llama")
    config = row.config(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    save_model(folder, row.build(config), row)
    return str(folder)


def run(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    app = typer.Typer()
    app.command()(predict)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def test_one_prompt_is_continued_as_plain_text(model: str) -> None:
    result = run(model, "--text", "The cat", *SHORT)
    assert result.exit_code == 0
    assert result.stdout.startswith("The cat")
    assert result.stdout != "The cat\n"


def test_one_prompt_with_json_prints_one_object(model: str) -> None:
    plain = run(model, "--text", "今天", *SHORT).stdout
    line = json.loads(run(model, "--text", "今天", "--json", *SHORT).stdout)
    assert line["prompt"] == "今天"
    assert line["text"] == line["prompt"] + line["prediction"] == plain.removesuffix("\n")


def test_who_speculates_is_told_how_many_guesses_were_kept(model: str, tmp_path: Path) -> None:
    settings = ["max_new_tokens=6", "ignore_end=true"]
    plain = run(model, "--text", "The cat", *settings)
    found = run(model, "--text", "The cat", *settings, f"speculate={model}")
    assert found.stdout == plain.stdout
    assert found.stderr == "4 of 4 guesses kept (100%)\n"
    prompts = tmp_path / "in.txt"
    prompts.write_text("The\ncat\n", encoding="utf-8")
    result = run(model, prompts, *settings, f"speculate={model}", "--json", "--out", tmp_path / "out.jsonl")
    summary = json.loads(result.stdout)
    assert (summary["rows"], summary["guessed"], summary["kept"]) == (2, 8, 8)


def test_several_answers_or_beams_are_printed_one_after_the_other(model: str) -> None:
    drawn = run(model, "--text", "The cat", "n=2", "temperature=2.0", "max_new_tokens=3").stdout
    assert drawn.count("The cat") == 2
    line = json.loads(run(model, "--text", "The", "--json", "num_beams=3", "max_new_tokens=4").stdout)
    assert line["tokens"] <= 4


def test_a_file_gives_one_object_a_line_on_stdout_and_a_summary_on_stderr(model: str, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("The cat\n今天\n")
    result = run(model, tmp_path / "in.txt", *SHORT)
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["prompt"] for line in found] == ["The cat", "今天"]
    assert "2 rows, 0 errors" in result.stderr
    single = json.loads(run(model, "--text", "今天", "--json", *SHORT).stdout)
    assert found[1]["prediction"] == single["prediction"]


def test_standard_input_is_a_prompt_a_line(model: str) -> None:
    result = run(model, "-", *SHORT, stdin="The\n今天".encode())
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ["stdin:1", "stdin:2"]


def test_bad_rows_give_exit_code_3_and_the_good_ones_their_predictions(model: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"id,question\n1,The\n2,\xff\n")
    result = run(model, tmp_path / "in.csv", "column=question", *SHORT)
    assert result.exit_code == 3
    good, bad = map(json.loads, result.stdout.splitlines())
    assert good["id"] == "1"
    assert bad == {"id": "2", "error": "question: not UTF-8 text", "signature": good["signature"]}
    assert "2 rows, 1 error," in result.stderr


def test_out_goes_on_where_it_stopped_and_json_prints_the_summary(model: str, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a\nb\nc\n")
    out = tmp_path / "out.jsonl"
    assert run(model, tmp_path / "in.txt", "--out", out, *SHORT).stdout == ""
    whole = out.read_bytes()
    out.write_bytes(whole[:-9])
    summary = json.loads(run(model, tmp_path / "in.txt", "--out", out, "--json", *SHORT).stdout)
    assert out.read_bytes() == whole
    assert (summary["rows"], summary["resumed"], summary["errors"]) == (1, 2, 0)
    again = run(model, tmp_path / "in.txt", "--out", out, "--overwrite", "max_new_tokens=2")
    assert again.exit_code == 0
    assert len(out.read_bytes()) != len(whole)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([], UsageError, "give either a FILE of prompts"),
        (["in.txt", "--text", "a"], UsageError, "give either a FILE of prompts"),
        (["--text", "a", "--out", "o.jsonl"], UsageError, "--out belongs to a FILE"),
        (["--text", "a", "temperatures=1"], ConfigError, "temperatures: unknown key; did you mean temperature?"),
        (["--text", "a", "chat=true"], UsageError, "the tokenizer has no chat template"),
        (["--text", "a", "num_beams=2", "top_k=3"], ConfigError, "remove one of the two"),
        (["--text", "word " * 100], UsageError, "shorten the prompt"),
        (["--text", "word " * 100, "--json"], UsageError, "shorten the prompt"),
        (["in.txt", "in2.txt"], ConfigError, "write KEY=VALUE"),
    ],
    ids=str,
)
def test_a_wrong_call_says_what_is_wrong(model: str, arguments: list[str], error: type, message: str) -> None:
    result = run(model, *arguments)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert result.stdout == ""


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_what_is_stopped_leaves_an_output_that_the_same_command_completes(
    model: str, tmp_path: Path, kind: signal.Signals
) -> None:
    source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("".join(f"cat {n}\n" for n in range(80)))
    settings = ["max_new_tokens=40", "max_batch=2", "ignore_end=true"]
    command = [sys.executable, "-m", "wenlu", "predict", model, str(source), "--out", str(out), *settings]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment())
    while not (out.exists() and out.stat().st_size):
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.05)
    process.send_signal(kind)
    _, said = process.communicate(timeout=60)
    if kind == signal.SIGINT:
        assert process.returncode == 130
        told = f"interrupted; the same command goes on behind the last line of {out}"
        assert told in said.decode().replace("\n", " ")
    before = out.read_bytes()
    assert run(model, source, "--out", out, *settings).exit_code == 0
    whole = out.read_bytes()
    assert whole.startswith(before.rpartition(b"\n")[0])
    assert whole.count(b"\n") == 80
    assert run(model, source, "--out", tmp_path / "at-once.jsonl", *settings).exit_code == 0
    assert (tmp_path / "at-once.jsonl").read_bytes() == whole
    assert 0 < before.count(b"\n") < 80


def test_ctrl_c_ends_the_thread_that_reads_ahead_too(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=258), ["The cat sat."])
    tokenizer.save(tmp_path / "encoder")
    row = family("bert")
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = row.config(vocab_size=tokenizer.vocab_size, head="none", **sizes)
    save_model(tmp_path / "encoder", row.build(config), row)
    source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("".join(f"{'The cat sat. ' * 20}{n}\n" for n in range(20_000)))
    named = [str(tmp_path / "encoder"), str(source), "--out", str(out), "rows=32"]
    command = [sys.executable, "-m", "wenlu", "predict", *named]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment())
    while not (out.exists() and out.stat().st_size):
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said.decode()
    assert said.decode().startswith("error interrupted")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"}


def test_a_table_in_and_a_table_out(model: str, tmp_path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"prompt": ["The cat", "今天"], "id": ["x", "y"]}), tmp_path / "in.parquet")
    done = run(model, tmp_path / "in.parquet", "--out", tmp_path / "out.csv", *SHORT)
    assert done.exit_code == 0, done.output
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["prompt"]) for row in rows] == [("x", "The cat"), ("y", "今天")]
    assert isinstance(run(model, tmp_path / "in.parquet", "--out", tmp_path / "o.npy", *SHORT).exception, UsageError)


def test_weights_are_converted_where_that_is_asked_for(model: str) -> None:
    plain = json.loads(run(model, "--text", "The cat", "--json", *SHORT).stdout)
    coarse = json.loads(run(model, "--text", "The cat", "--json", "dtype=bfloat16", *SHORT).stdout)
    assert plain["signature"] != coarse["signature"]
    wrong = run(model, "--text", "The cat", "dtype=int8")
    assert "dtype=int8: weights can be converted to float32, bfloat16, float64" in str(wrong.exception)


def test_a_model_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert isinstance(run(tmp_path / "none", "--text", "a").exception, WeightsError)


def test_a_file_whose_name_has_an_equals_sign_is_a_file(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("k=v.txt").write_text("The\n")
    assert json.loads(run(model, "k=v.txt", *SHORT).stdout)["id"] == "k=v.txt:1"


def test_the_help_ends_in_an_example_that_has_the_documented_form(model: str) -> None:
    assert predict.__doc__ is not None
    example = predict.__doc__.strip().splitlines()[-1].strip()
    assert example.startswith("Example: wenlu predict runs/tiny --text ")
    words = shlex.split(example.removeprefix("Example: wenlu predict runs/tiny"))
    assert run(model, *words).exit_code == 0
