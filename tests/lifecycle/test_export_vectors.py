"""Word vectors that are exported read again as they were, to us and to others, or are not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors
from typer.testing import CliRunner

import wenlu
from wenlu.bundle import VectorsBundle, load_any
from wenlu.cli.app import app
from wenlu.errors import DataError, ParityError, UsageError
from wenlu.lifecycle import export_vectors as exporting
from wenlu.models.vectors import NgramVectors, WordVectors, load_text, save_text, save_vectors

WORDS = ("the", "北京", "naïve", "\u3000", "x" * 90)


def vectors(*, ngrams: bool = False, words: tuple[str, ...] = WORDS) -> WordVectors:
    random = np.random.default_rng(3)
    matrix = random.normal(size=(len(words), 7)).astype(np.float32)
    matrix[0] = np.float32([0.0, -0.0, 1e-45, 3.4028235e38, 0.1, 1 / 3, -1e-38])
    parts = NgramVectors(2, 4, random.normal(size=(11, 7)).astype(np.float32))
    return WordVectors(words, matrix, parts if ngrams else None)


def in_folder(path: Path, model: WordVectors) -> Path:
    path.mkdir()
    save_vectors(path, model, training={"seed": 3})
    return path


def bits(matrix: np.ndarray) -> list[list[int]]:  # type: ignore[type-arg]
    return np.ascontiguousarray(matrix).view(np.uint32).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["out.vec", "out.TXT", "new/folder/out.vec"])
def test_a_text_file_keeps_every_bit_and_is_read_by_gensim(name: str, tmp_path: Path) -> None:
    model = vectors()
    done = wenlu.export(in_folder(tmp_path / "in", model), tmp_path / name)
    assert done.to_json() == {
        "path": str(tmp_path / name),
        "format": "text",
        "bytes": (tmp_path / name).stat().st_size,
        "words": 5,
        "dimensions": 7,
        "equal": True,
        "left_out": (),
    }
    again = load_text(tmp_path / name)
    assert again.words == WORDS
    assert bits(again.matrix) == bits(model.matrix)
    theirs = KeyedVectors.load_word2vec_format(str(tmp_path / name))
    assert bits(theirs[list(theirs.index_to_key)]) == bits(again.matrix[: len(theirs)])
    assert theirs.index_to_key[:3] == list(WORDS[:3])


def test_a_folder_from_a_text_file_and_back_is_the_same_file(tmp_path: Path) -> None:
    save_text(vectors(), tmp_path / "a.vec")
    done = wenlu.export(tmp_path / "a.vec", tmp_path / "folder")
    assert done.format == "folder"
    wenlu.export(tmp_path / "folder", tmp_path / "b.vec", ["format=text"])
    assert (tmp_path / "b.vec").read_bytes() == (tmp_path / "a.vec").read_bytes()


def test_a_folder_keeps_the_ngrams_and_how_they_were_trained_and_a_text_file_says_what_it_lost(tmp_path: Path) -> None:
    model = vectors(ngrams=True)
    source = in_folder(tmp_path / "in", model)
    wenlu.export(source, tmp_path / "out")
    again = load_any(tmp_path / "out")
    assert isinstance(again, VectorsBundle)
    assert again.config.training == {"seed": 3}
    assert model.ngrams is not None
    assert again.model.ngrams is not None
    assert bits(again.model.ngrams.matrix) == bits(model.ngrams.matrix)
    assert json.loads((tmp_path / "out" / "export.json").read_text())["words"] == 5
    wenlu.export(source, tmp_path / "out")  # replaces an export
    done = wenlu.export(source, tmp_path / "out.vec")
    assert done.to_json()["left_out"] == ("ngrams",)
    assert str(done).endswith("read again, every number is the same; the n-grams stayed behind")


@pytest.mark.parametrize("name", ["out.vec", "out"])
def test_vectors_that_read_otherwise_are_refused_and_nothing_is_left(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = in_folder(tmp_path / "in", vectors())

    def moved(path: Path) -> WordVectors:
        read = load_text(path) if path.is_file() else exporting.load_any(path).model
        assert isinstance(read, WordVectors)
        matrix = read.matrix.copy()
        matrix[2, 4] = np.nextafter(matrix[2, 4], np.float32(9))
        return WordVectors(read.words, matrix)

    monkeypatch.setattr(exporting, "load_text", moved)
    monkeypatch.setattr(exporting, "load_vectors", lambda folder: (moved(folder), None))
    with pytest.raises(ParityError, match=r"vectors: number 4 of row 2 is .*, but reads .*; nothing was written"):
        wenlu.export(source, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_word_that_reads_otherwise_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = in_folder(tmp_path / "in", vectors())
    other = vectors(words=("the", "南京", *WORDS[2:]))
    monkeypatch.setattr(exporting, "load_text", lambda _: other)
    with pytest.raises(ParityError, match="word 1 is '北京', but reads '南京'"):
        wenlu.export(source, tmp_path / "out.vec")
    assert not (tmp_path / "out.vec").exists()


def test_what_does_not_fit_is_refused_with_what_does(tmp_path: Path) -> None:
    source = in_folder(tmp_path / "in", vectors(words=("two words", "one")))
    with pytest.raises(DataError, match="cannot hold the word 'two words'; save as a folder instead"):
        wenlu.export(source, tmp_path / "out.vec")
    with pytest.raises(
        UsageError, match=r"format = 'gguf' is one of language models; .* word vectors, which have text"
    ):
        wenlu.export(source, tmp_path / "out", ["format=gguf"])
    with pytest.raises(UsageError, match="dtype: word vectors have no such setting"):
        wenlu.export(source, tmp_path / "out", ["dtype=float16"])
    with pytest.raises(UsageError, match=r"out: with format = 'text', --out must end in .vec or .txt"):
        wenlu.export(source, tmp_path / "out", ["format=text"])
    with pytest.raises(UsageError, match=r"out.vec: with format = 'folder', --out must name a folder"):
        wenlu.export(source, tmp_path / "out.vec", ["format=folder"])
    (tmp_path / "mine.vec").write_text("x")
    with pytest.raises(UsageError, match=r"mine.vec: exists already; delete it, or choose another --out"):
        wenlu.export(source, tmp_path / "mine.vec")
    with pytest.raises(UsageError, match=r"in: holds something that is no export"):
        wenlu.export(source, tmp_path / "in")
    assert (tmp_path / "mine.vec").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "mine.vec"]


def test_the_verb_tells_what_it_wrote(tmp_path: Path) -> None:
    source = str(in_folder(tmp_path / "in", vectors()))
    shown = CliRunner().invoke(app, ["export", source, "--out", str(tmp_path / "a.vec")])
    assert shown.exit_code == 0, shown.output
    assert "a.vec: word2vec's text format, 5 words × 7, " in shown.stdout
    done = CliRunner().invoke(app, ["export", source, "--out", str(tmp_path / "b"), "--json"])
    assert json.loads(done.stdout)["format"] == "folder"
    wrong = CliRunner().invoke(app, ["export", source, "format=word2vec", "--out", str(tmp_path / "c")])
    assert wrong.exit_code != 0
