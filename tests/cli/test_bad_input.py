"""What a user gets wrong ends in one message with what, where, the value and what to try; nothing is harmed."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from wenlu.cli.app import main

_WORDS = random.Random(1).sample([a + b for a in ("bed", "arm", "eye", "leg") for b in "abcdefghijklmnop"], 64)
SENTENCES = [" ".join(random.Random(n).sample(_WORDS, 16)) for n in range(80)]


@dataclass(frozen=True)
class Case:
    """Attributes: make: prepares the input and gives the overrides."""

    name: str
    make: Callable[[Path], list[str]]
    code: int
    message: str
    verb: str = "data"


def text(path: Path, content: bytes) -> list[str]:
    (path / "notes.txt").write_bytes(content)
    return [f'data.train={{path="{path / "notes.txt"}", by="line"}}']


def jsonl(path: Path) -> Path:
    file = path / "notes.jsonl"
    file.write_text("".join(json.dumps({"text": sentence}) + "\n" for sentence in SENTENCES))
    return file


def truncated_gzip(path: Path) -> list[str]:
    file = path / "notes.jsonl.gz"
    file.write_bytes(gzip.compress(jsonl(path).read_bytes())[:-40])
    return [f"data.train={file}"]


def truncated_zstd(path: Path) -> list[str]:
    import zstandard

    file = path / "notes.jsonl.zst"
    file.write_bytes(zstandard.compress(jsonl(path).read_bytes())[:-40])
    return [f"data.train={file}"]


def truncated_parquet(path: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = path / "notes.parquet"
    pq.write_table(pa.table({"text": SENTENCES}), file)
    file.write_bytes(file.read_bytes()[:-40])
    return [f"data.train={file}"]


def long_line(path: Path) -> list[str]:
    file = path / "notes.jsonl"
    with file.open("wb") as stream:
        stream.write(b'{"text": "')
        for _ in range(200):
            stream.write(b"x" * 2**20)
        stream.write(b'"}\n')
    return [f"data.train={file}"]


CASES = [
    Case("an empty file", lambda p: text(p, b""), 3, r"notes\.txt.*(empty|no text)"),
    Case("only white space", lambda p: text(p, b" \n\n\t\n"), 3, r"notes\.txt|no .*record|nothing"),
    Case("a missing file", lambda p: [f"data.train={p / 'absent.txt'}"], 3, r"absent\.txt"),
    Case("GB18030 read as UTF-8", lambda p: text(p, "病人今天好。\n".encode("gb18030") * 9), 3, r"notes\.txt.*gb18030"),
    Case("a NUL byte", lambda p: text(p, b"ab\0c\n" * 9), 3, r"notes\.txt:1: NUL byte.*is it text\?.*max_bad_fraction"),
    Case("a truncated .gz", truncated_gzip, 3, r"notes\.jsonl\.gz.*(truncated|ends|cut)"),
    Case("a truncated .zst", truncated_zstd, 3, r"notes\.jsonl\.zst.*(truncated|ends|cut)"),
    Case("a truncated Parquet file", truncated_parquet, 3, r"notes\.parquet"),
    Case("a line of 200 MB", long_line, 3, r"notes\.jsonl.*(max_record_bytes|too large)"),
    Case("a column that is missing", lambda p: [f'data.train={{path="{jsonl(p)}", text="body"}}'], 3, r"body.*text"),
    Case("contradicting settings", lambda _: ["data.validation=0.6", "data.test=0.6"], 2, "1.2 of the records"),
    Case("a mistyped setting", lambda _: ["data.tset=0.1"], 2, r"data\.tset: unknown key; did you mean test"),
    Case("a mistyped step", lambda _: ['data.steps=["repiar"]'], 2, "did you mean repair"),
    Case(
        "a vocabulary larger than the text supports",
        lambda p: [f"data.train={jsonl(p)}", "tokenizer.vocab_size=30000"],
        3,
        r"vocab_size = 30000 is more than the text supports.*try vocab_size = \d+",
        verb="tokenizer",
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    errors: str


@pytest.fixture
def wenlu(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    def call(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["wenlu", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capfd.readouterr()
        return Result(int(ended.value.code or 0), captured.out, captured.err)

    return call


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_ends_in_one_kind_message(case: Case, tmp_path: Path, wenlu: Callable[..., Result]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    overrides = case.make(source)
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    result = wenlu(case.verb, "recipes/tiny.toml", *overrides, "--out", str(out))
    assert result.code == case.code, result.errors
    assert re.search(case.message, result.errors, re.DOTALL), result.errors
    assert "Traceback" not in result.errors
    assert result.out == ""
    assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == before
    assert not (out / "data" / "train.jsonl").exists() or case.verb == "tokenizer"


def test_a_duplicate_key_names_its_line(tmp_path: Path, wenlu: Callable[..., Result]) -> None:
    recipe = tmp_path / "twice.toml"
    recipe.write_text('name = "a"\n[data]\ntrain = "stdlib"\ntrain = "stdlib"\n')
    result = wenlu("data", str(recipe), "--out", str(tmp_path / "out"))
    assert result.code == 2
    assert "line 4" in result.errors
    assert "Traceback" not in result.errors


def test_records_with_nul_bytes_are_dropped_and_counted_where_allowed(
    tmp_path: Path, wenlu: Callable[..., Result]
) -> None:
    (tmp_path / "notes.txt").write_bytes("\n".join(SENTENCES).replace("a", "\0", 1).encode())
    source = f'data.train={{path="{tmp_path / "notes.txt"}", by="line", max_bad_fraction=0.1}}'
    result = wenlu("data", "recipes/tiny.toml", source, "--out", str(tmp_path / "out"), "--json")
    assert result.code == 0, result.errors
    assert {"step": "source", "reason": "NUL byte", "records": 1} in json.loads(result.out)["dropped"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every directory")
def test_a_directory_without_permission_is_named(tmp_path: Path, wenlu: Callable[..., Result]) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    result = wenlu("data", "recipes/tiny.toml", f"data.train={closed}", "--out", str(tmp_path / "out"))
    assert result.code == 3
    assert "closed: no permission" in result.errors


@pytest.mark.parametrize("verb", ["data", "pretrain"])
def test_a_full_disk_is_named_and_what_was_there_survives(
    verb: str, tmp_path: Path, wenlu: Callable[..., Result]
) -> None:
    """A limit on the size of a file stands for the disk: the write that crosses it fails with an OSError."""
    out = tmp_path / "out"
    arguments = [f"data.train={jsonl(tmp_path)}", "tokenizer.vocab_size=300", "train.duration=2 steps"]
    assert wenlu("data", "recipes/tiny.toml", *arguments, "--out", str(out)).code == 0
    before = (out / "data/train.jsonl").read_bytes()
    limit = "import resource, runpy, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)); runpy.run_module('wenlu', run_name='__main__')"
    change = ["data.validation=0.2"] if verb == "data" else []
    command = [sys.executable, "-c", limit, verb, "recipes/tiny.toml", *arguments, *change, "--out", str(out)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert result.returncode == 1, result.stderr
    assert re.search(r"could not be written|no space|cannot", result.stderr), result.stderr
    assert "Traceback" not in result.stderr
    assert (out / "data/train.jsonl").read_bytes() == before
