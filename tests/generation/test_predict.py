"""Predicting a file: order, errors in place, resuming, flat memory."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import tracemalloc
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from wenlu.bundle import Bundle
from wenlu.errors import DataError, UsageError
from wenlu.generation import inputs
from wenlu.generation.inputs import ReadingConfig, expected_rows
from wenlu.generation.predict import PredictConfig, answer_each, answer_file, predict, predict_rows, signature
from wenlu.generation.rows import BadRow, Row
from wenlu.generation.text import complete
from wenlu.progress import Progress

CONFIG = PredictConfig(max_new_tokens=6, max_batch=3, temperature=0.9, seed=2)
PROMPTS = [f"{'cat ' * (n % 7)}{n}" for n in range(40)]


def write_prompts(path: Path) -> Path:
    path.write_text("".join(json.dumps({"id": f"r{n}", "text": p}) + "\n" for n, p in enumerate(PROMPTS)))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_predictions_stand_in_the_order_of_the_rows_and_equal_single_completions(
    bundle: Bundle, tmp_path: Path
) -> None:
    source = write_prompts(tmp_path / "in.jsonl")
    summary = predict(bundle, source, tmp_path / "new" / "out.jsonl", CONFIG)
    found = lines(tmp_path / "new" / "out.jsonl")
    assert (summary.rows, summary.errors, summary.resumed) == (40, 0, 0)
    assert [line["id"] for line in found] == [f"r{n}" for n in range(40)]
    assert [line["prompt"] for line in found] == PROMPTS
    assert all(line["text"] == line["prompt"] + line["prediction"] for line in found)
    for n in (0, 1, 17, 39):
        choice = complete(bundle, [PROMPTS[n]], CONFIG)[0].choices[0]
        assert (found[n]["prediction"], found[n]["tokens"]) == (choice.text, choice.tokens)
        assert found[n]["logprob"] == pytest.approx(choice.logprob, abs=1e-3)
        assert found[n]["finish"] == choice.finish


def test_a_bad_row_has_its_error_in_its_place(bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "a"}\nnonsense\n{"text": "%s"}\n{"text": "b"}\n' % ("x y " * 300))
    summary = predict(bundle, source, tmp_path / "out.jsonl", CONFIG)
    found = lines(tmp_path / "out.jsonl")
    assert ["error" in line for line in found] == [False, True, True, False]
    assert found[1]["error"].startswith("not JSON: ")
    assert "tokens, and the model's context (max_position_embeddings) of 128 must also hold" in found[2]["error"]
    assert [line["id"] for line in found] == [f"in.jsonl:{n}" for n in (1, 2, 3, 4)]
    assert summary.errors == 2
    assert "4 rows, 2 errors" in str(summary)


def test_several_answers_stand_in_predictions(bundle: Bundle) -> None:
    config = CONFIG.model_copy(update={"n": 3})
    line = next(predict_rows(bundle, [Row("a", "The")], config))
    assert len(line["predictions"]) == 3
    assert line["predictions"][0] == line["prediction"]


def test_an_interrupted_output_goes_on_behind_its_last_complete_line(bundle: Bundle, tmp_path: Path) -> None:
    source, out = write_prompts(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    predict(bundle, source, out, CONFIG)
    whole = out.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == 10]
    for cut in (0, 1, 5, ends[0] - 1, ends[0], ends[0] + 1, ends[20] + 30, len(whole) - 1):
        out.write_bytes(whole[:cut])
        summary = predict(bundle, source, out, CONFIG)
        assert out.read_bytes() == whole
        assert summary.resumed == sum(end <= cut for end in ends)
        assert summary.rows == 40 - summary.resumed


def test_a_complete_output_is_left_alone(bundle: Bundle, tmp_path: Path) -> None:
    source, out = write_prompts(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    predict(bundle, source, out, CONFIG)
    whole = out.read_bytes()
    summary = predict(bundle, source, out, CONFIG)
    assert out.read_bytes() == whole
    assert (summary.rows, summary.resumed) == (0, 40)
    assert str(summary).startswith("0 rows, 40 were there already, 0 errors")


def test_errors_of_earlier_rows_still_count(bundle: Bundle, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('nonsense\n{"text": "a"}\n')
    predict(bundle, source, out, CONFIG)
    assert predict(bundle, source, out, CONFIG).errors == 1


def test_overwrite_begins_anew(bundle: Bundle, tmp_path: Path) -> None:
    source, out = write_prompts(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    out.write_text("something else\n")
    assert predict(bundle, source, out, CONFIG, overwrite=True).rows == 40
    assert len(lines(out)) == 40


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("notes of mine", "line 1 is not a prediction; choose another --out, or --overwrite"),
        ("notes of mine\n", "line 1 is not a prediction"),
        ('{"a": 1}\n', "line 1 is not a prediction"),
        ("[1]\n", "line 1 is not a prediction"),
        (
            '{"id": "r0", "signature": "0123456789ab"}\n',
            r"with another model or other settings \(signature 0123456789ab, now",
        ),
        ('{"id": "other", "signature": "MARK"}\n', "line 1 answers 'other', the input has 'r0'"),
        ("".join(f'{{"id": "r{n}", "signature": "MARK"}}\n' for n in range(41)), r"more predictions .* rows \(40\)"),
    ],
)
def test_an_output_of_something_else_is_refused_and_left_as_it_is(
    bundle: Bundle, tmp_path: Path, content: str, message: str
) -> None:
    source, out = write_prompts(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    out.write_text(content.replace("MARK", signature(bundle, CONFIG)))
    before = out.read_bytes()
    with pytest.raises(UsageError, match=message):
        predict(bundle, source, out, CONFIG)
    assert out.read_bytes() == before


def test_the_signature_changes_with_model_and_settings_but_not_with_the_batch(bundle: Bundle, make_llama: Any) -> None:
    mark = signature(bundle, CONFIG)
    assert mark == signature(bundle, CONFIG.model_copy(update={"max_batch": 99, "column": "x"}))
    assert mark != signature(bundle, CONFIG.model_copy(update={"seed": 3}))
    model = make_llama(context=128, vocab_size=bundle.tokenizer.vocab_size)
    other = Bundle(model, bundle.tokenizer, bundle.task, model.config, bundle.path)
    assert mark == signature(other, CONFIG)
    model.norm.weight.data.mul_(1.001)
    assert mark != signature(other, CONFIG)


def test_a_pipe_is_read_as_text_unless_told_otherwise(bundle: Bundle) -> None:
    out = io.StringIO()
    predict(bundle, io.BytesIO(b"The\nA cat\n"), out, CONFIG)
    assert [json.loads(line)["id"] for line in out.getvalue().splitlines()] == ["stdin:1", "stdin:2"]
    out = io.StringIO()
    predict(bundle, io.BytesIO(b"text\nThe\n"), out, CONFIG.model_copy(update={"format": "csv"}))
    assert json.loads(out.getvalue())["prompt"] == "The"


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("in.xml", "a", UsageError, "cannot tell its format from '.xml'; set format=txt, jsonl, csv or tsv"),
        ("in", "a", UsageError, "cannot tell its format from 'no ending'"),
        ("in.txt", "", DataError, r"in.txt: no rows to predict; a prompt a line is expected \(txt\)"),
        ("in.txt", "\n \n", DataError, "no rows to predict"),
        ("gone.txt", None, DataError, "no such file; for a single prompt write --text '.*gone.txt'"),
        ("folder.txt", "folder", DataError, "folder.txt: holds no records; is it empty"),
    ],
)
def test_an_input_that_cannot_be_read_is_refused_before_the_output_is_touched(
    bundle: Bundle, tmp_path: Path, name: str, content: str | None, error: type[Exception], message: str
) -> None:
    source, out = tmp_path / name, tmp_path / "out.jsonl"
    if content == "folder":
        source.mkdir()
    elif content is not None:
        source.write_text(content)
    out.write_text("before\n")
    with pytest.raises(error, match=message):
        predict(bundle, source, out, CONFIG, overwrite=True)
    assert out.read_text() == "before\n"


def test_the_input_cannot_be_the_output(bundle: Bundle, tmp_path: Path) -> None:
    source = write_prompts(tmp_path / "in.jsonl")
    before = source.read_bytes()
    with pytest.raises(UsageError, match="is the input itself; choose another --out"):
        predict(bundle, source, source, CONFIG, overwrite=True)
    with pytest.raises(UsageError, match=r"a folder; --out names a file, for example .*predictions\.jsonl"):
        predict(bundle, source, tmp_path, CONFIG)
    assert source.read_bytes() == before


def test_rows_are_read_and_written_window_by_window(bundle: Bundle) -> None:
    read = 0

    def endless() -> Iterator[Row]:
        nonlocal read
        while True:
            read += 1
            yield Row(str(read), "The cat")

    config = CONFIG.model_copy(update={"max_new_tokens": 1})
    for number, _ in zip(range(100), predict_rows(bundle, endless(), config), strict=False):
        assert read <= number + 8 * config.max_batch


def test_memory_does_not_grow_with_the_file(bundle: Bundle) -> None:
    def bad(n: int) -> Iterator[BadRow]:
        for i in range(n):
            yield BadRow(str(i), "x" * 100)

    def peak(n: int) -> int:
        tracemalloc.start()
        for _ in predict_rows(bundle, bad(n), CONFIG):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(500)
    assert peak(20_000) < 2 * peak(500) + 100_000


def test_a_long_file_is_answered_and_gone_on_with_in_little_memory(tmp_path: Path) -> None:
    rows = 1_000_000 if os.environ.get("WENLU_PROOF") == "1" else 20_000
    source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    with source.open("w") as file:
        file.writelines(f"row {n} of a long file\n" for n in range(rows))

    def answered() -> int:
        """Rows of this run, whose memory is measured."""
        answer = partial(answer_each, mark="0123456789ab", answer=lambda prompt: {"prediction": prompt.upper()})
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        summary = answer_file(source, out, ReadingConfig(), "0123456789ab", answer, window=512)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024  # KiB
        return summary.rows

    assert answered() == rows
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    with out.open("rb+") as file:
        file.truncate(out.stat().st_size // 2)
    assert 0 < answered() < rows
    assert hashlib.sha256(out.read_bytes()).hexdigest() == digest


def test_about_how_many_rows_there_are_is_known_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in.csv").write_text("text\n" + "a\n" * 5000)
    assert expected_rows(tmp_path / "in.csv") == 5000
    monkeypatch.setattr(inputs, "COUNTED", 1)  # the first mebibyte tells of the rest
    (tmp_path / "in.txt").write_text("a line of text\n" * 300_000)
    assert expected_rows(tmp_path / "in.txt") == pytest.approx(300_000, rel=1e-3)
    assert expected_rows(io.BytesIO(b"a")) is None
    assert expected_rows(tmp_path) is None


def test_progress_tells_rows_and_their_speed(bundle: Bundle) -> None:
    class Log(Progress):
        said: list[str] = []  # noqa: RUF012

        def update(self, done: float, **facts: str) -> None:
            self.said.append(f"{done} {facts['speed']}")

        def finish(self, summary: str = "") -> None:
            self.said.append(summary)

    predict(bundle, io.BytesIO(b"The\nA cat\n"), io.StringIO(), CONFIG, progress=Log())
    assert [said.split()[0] for said in Log.said] == ["1", "2", "2"]
    assert all(said.endswith("rows/s") for said in Log.said)
