"""A bare encoder answers with vectors, into a file of any kind, and goes on where it was stopped."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wenlu.bundle import Bundle
from wenlu.errors import DataError, UsageError, WeightsError
from wenlu.generation.asking import ask
from wenlu.generation.embedder import as_embedder
from wenlu.generation.labelled import AnsweringConfig, _part_from_bad, _Window, predict_answers
from wenlu.models import family
from wenlu.tasks import Embedding
from wenlu.tokenizers import Tokenizer

TEXTS = [f"{'cat ' * (n % 9)}sat {n}" for n in range(30)]


@pytest.fixture(scope="module")
def encoder(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    row = family("bert")
    config = row.config(
        vocab_size=tokenizer.vocab_size,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.2,
        head="none",
    )
    torch.manual_seed(2)
    return Bundle(row.build(config).eval(), tokenizer, None, config, tmp_path_factory.mktemp("encoder"))


def with_files(bundle: Bundle, folder: Path, **pooling: bool) -> Bundle:
    (folder / "1_Pooling").mkdir()
    told = {"word_embedding_dimension": 64, **{f"pooling_mode_{name}": chosen for name, chosen in pooling.items()}}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(told))
    return Bundle(bundle.model, bundle.tokenizer, None, bundle.config, folder)


def test_a_vector_is_the_mean_of_all_tokens_at_length_one(encoder: Bundle) -> None:
    task = as_embedder(encoder).task
    assert isinstance(task, Embedding)
    ids, _ = task.layout.row(encoder.tokenizer.encode("The cat"))
    mean = encoder.model.hidden(torch.tensor([ids]))[0].detach().mean(0)
    (line,) = ask(encoder, ["The cat"])
    np.testing.assert_allclose(line["prediction"], (mean / mean.norm()).numpy(), atol=2e-6)


def test_the_files_beside_a_model_choose_how_it_pools(encoder: Bundle, tmp_path: Path) -> None:
    bundle = with_files(encoder, tmp_path, cls_token=True, mean_tokens=False)
    (tmp_path / "modules.json").write_text('[{"type": "a.Transformer"}, {"type": "a.Pooling"}]')
    task = as_embedder(bundle).task
    assert isinstance(task, Embedding)
    assert (task.config.pooling, task.config.normalise) == ("first", False)
    (tmp_path / "modules.json").write_text('[{"type": "a.Transformer"}, {"type": "a.Pooling"}, {"type": "a.Dense"}]')
    with pytest.raises(WeightsError, match=r"modules.json: has a module Dense, which is not known"):
        as_embedder(bundle)
    (tmp_path / "modules.json").write_text("{}{")
    with pytest.raises(WeightsError, match=r"modules.json: is no list of modules"):
        as_embedder(bundle)


def test_a_way_to_pool_that_there_is_not_is_refused(encoder: Bundle, tmp_path: Path) -> None:
    bundle = with_files(encoder, tmp_path, mean_tokens=True, max_tokens=True)
    with pytest.raises(WeightsError, match="pools by pooling_mode_max_tokens and pooling_mode_mean_tokens; known: "):
        as_embedder(bundle)


def test_what_has_a_task_or_another_head_stays_as_it_is(bundle: Bundle) -> None:
    assert as_embedder(bundle) is bundle


def written(encoder: Bundle, out: Path, **settings: Any) -> None:
    source = out.parent / "texts.jsonl"
    rows = [json.dumps({"id": f"r{n}", "text": text}) for n, text in enumerate(TEXTS)]
    source.write_text("\n".join([*rows[:5], "nonsense", *rows[5:]]) + "\n")
    predict_answers(as_embedder(encoder), source, out, AnsweringConfig(rows=8, **settings))


def test_lines_csv_parquet_and_a_matrix_hold_the_same_vectors(encoder: Bundle, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in ("lines.jsonl", "table.csv", "table.parquet", "matrix.npy"):
        written(encoder, tmp_path / name)
    lines = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    assert [("error" in line) for line in lines] == [place == 5 for place in range(31)]
    matrix = np.load(tmp_path / "matrix.npy")
    assert (matrix.shape, matrix.dtype) == ((31, 64), np.float32)
    assert np.isnan(matrix[5]).all()
    columns = parquet.read_table(tmp_path / "table.parquet").to_pydict()
    header, *cells = (tmp_path / "table.csv").read_text().splitlines()
    assert header == "id,prediction,signature,error"
    assert columns["id"] == [line["id"] for line in lines]
    for place, line in enumerate(lines):
        if place != 5:
            np.testing.assert_allclose(matrix[place], line["prediction"], atol=1e-7)
            np.testing.assert_allclose(columns["prediction"][place], line["prediction"], atol=1e-7)
            assert f'"{json.dumps(line["prediction"])}"' in cells[place]
    assert not list(tmp_path.glob("*.lines.jsonl"))


@pytest.mark.parametrize("kept", [0, 3, 8, 17, 30])
def test_what_was_stopped_ends_with_the_bytes_of_what_was_not(encoder: Bundle, tmp_path: Path, kept: int) -> None:
    out = tmp_path / "out.jsonl"
    written(encoder, out)
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    out.write_bytes(b"".join(lines[:kept]) + lines[kept][:40])
    written(encoder, out)
    assert out.read_bytes() == whole


def test_a_table_that_was_stopped_goes_on_and_one_that_is_whole_is_not_replaced(
    encoder: Bundle, tmp_path: Path
) -> None:
    written(encoder, tmp_path / "lines.jsonl")
    lines = (tmp_path / "lines.jsonl").read_bytes().splitlines(keepends=True)
    written(encoder, tmp_path / "whole.npy")
    (tmp_path / "out.npy.lines.jsonl").write_bytes(b"".join(lines[:9]))
    written(encoder, tmp_path / "out.npy")
    assert (tmp_path / "out.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    with pytest.raises(UsageError, match=r"out.npy: is there already, and whole; choose another --out, or --overwrite"):
        written(encoder, tmp_path / "out.npy")


def test_a_dataset_is_read_as_recipes_read_it(encoder: Bundle, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for part in range(2):
        rows = [json.dumps({"text": text}) for text in TEXTS[part * 2 : part * 2 + 2]]
        (tmp_path / "data" / f"{part}.jsonl").write_text("\n".join(rows))
    out = io.StringIO()
    predict_answers(as_embedder(encoder), tmp_path / "data", out, AnsweringConfig(keep="text"))
    assert [json.loads(line)["text"] for line in out.getvalue().splitlines()] == TEXTS[:4]


def test_a_line_of_text_that_is_not_utf_8_is_told_in_its_place(encoder: Bundle, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"The cat\nab\xff\n\nA hat\n")
    out = io.StringIO()
    summary = predict_answers(as_embedder(encoder), tmp_path / "in.txt", out, AnsweringConfig())
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["id"] for line in found] == ["in.txt:1", "in.txt:2", "in.txt:4"]
    assert found[1]["error"] == "not UTF-8 text (byte 3 of the line)"
    assert summary.errors == 1
    (tmp_path / "in.txt").write_bytes(b"\n")
    with pytest.raises(DataError, match=r"in.txt: no rows to predict"):
        predict_answers(as_embedder(encoder), tmp_path / "in.txt", tmp_path / "out.jsonl", AnsweringConfig())
    assert not (tmp_path / "out.jsonl").exists()


def test_an_example_that_has_no_room_stops_no_other() -> None:
    def encode(examples: list[str]) -> list[str]:
        if "bad" in examples:
            raise DataError("no room")
        return [example.upper() for example in examples]

    window = _Window([{"id": "1"}, {"id": "2"}, {"id": "3"}], ["a", "bad", "c"], [0, 1, 2])
    assert _part_from_bad(window, encode) == ["A", "C"]
    assert (window.examples, window.places, window.lines[1]) == (["a", "c"], [0, 2], {"id": "2", "error": "no room"})
