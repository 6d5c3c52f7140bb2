"""Word vectors on disk: folder and text format, round trips and damage."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gensim.models import KeyedVectors
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.torch import load_file, save_file

from wenlu.errors import DataError, WeightsError
from wenlu.models.vectors import (
    NgramVectors,
    WordVectors,
    holds_vectors,
    load_text,
    load_vectors,
    save_text,
    save_vectors,
)

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
TEXT_WORDS = st.text(st.characters(exclude_characters=" \n\r", exclude_categories=["Cs"]), min_size=1, max_size=6)


@st.composite
def word_vectors(draw: st.DrawFn, words: st.SearchStrategy[str], with_ngrams: bool = False) -> WordVectors:
    chosen = tuple(draw(st.lists(words, min_size=1, max_size=5, unique=True)))
    dimensions = draw(st.integers(1, 4))
    matrix = draw(arrays(np.float32, (len(chosen), dimensions), elements=FLOATS))
    if not (with_ngrams and draw(st.booleans())):
        return WordVectors(chosen, matrix)
    buckets = draw(arrays(np.float32, (draw(st.integers(1, 4)), dimensions), elements=FLOATS))
    return WordVectors(chosen, matrix, NgramVectors(2, 5, buckets))


def assert_equal(a: WordVectors, b: WordVectors) -> None:
    assert a.words == b.words
    np.testing.assert_array_equal(a.matrix, b.matrix)


@given(word_vectors(TEXT_WORDS))
def test_text_keeps_every_word_and_every_bit(vectors: WordVectors) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.vec"
        save_text(vectors, path)
        assert_equal(load_text(path), vectors)


@given(word_vectors(st.text(max_size=6), with_ngrams=True))
def test_a_folder_keeps_every_word_and_every_bit(vectors: WordVectors) -> None:
    with tempfile.TemporaryDirectory() as folder:
        save_vectors(Path(folder), vectors, training={"seed": 3})
        again, facts = load_vectors(Path(folder))
        assert holds_vectors(Path(folder))
    assert_equal(again, vectors)
    assert facts.training == {"seed": 3}
    assert (again.ngrams is None) == (vectors.ngrams is None)
    if again.ngrams is not None and vectors.ngrams is not None:
        np.testing.assert_array_equal(again.ngrams.matrix, vectors.ngrams.matrix)
        assert (again.ngrams.shortest, again.ngrams.longest) == (2, 5)


def test_gensim_reads_our_text_and_we_read_gensims(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    vectors = WordVectors(("国王", "queen", "naïve"), matrix)
    save_text(vectors, tmp_path / "ours.vec")
    theirs = KeyedVectors.load_word2vec_format(str(tmp_path / "ours.vec"))
    assert theirs.index_to_key == list(vectors.words)
    np.testing.assert_array_equal(theirs.vectors, matrix)
    theirs.save_word2vec_format(str(tmp_path / "theirs.txt"))
    assert_equal(load_text(tmp_path / "theirs.txt"), vectors)


def test_the_vec_file_of_fasttext_itself_is_read() -> None:
    import gensim

    path = Path(gensim.__file__).parent / "test/test_data/lee_fasttext.vec"
    expected = KeyedVectors.load_word2vec_format(str(path))
    found = load_text(path)
    assert list(found.words) == expected.index_to_key
    np.testing.assert_array_equal(found.matrix, expected.vectors)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: '' is not the header, number of words and of dimensions ('400000 100')"),
        ("the 0.1 0.2\n", "line 1: 'the 0.1 0.2' is not the header"),
        ("0 3\n", "line 1: '0 3' announces no vectors"),
        ("2 3\na 1 2 3\nb 1 2\n", "line 3: 2 numbers after 'b', but 3 dimensions in the header"),
        ("2 2\na 1 2\nb 1 x2\n", "line 3: 'x2' is not a number"),
        ("2 2\na 1 2\na 1 2\n", "line 3: 'a' stands on line 2 already; delete one of them"),
        ("1 2\na 1 2\nb 1 2\n", "line 3: more words than the 1 of the header"),
        ("3 2\na 1 2\nb 1 2\n", "2 words, but 3 in the header; is the file cut off?"),
        ("2 2\na 1 2\nb 1 nan\n", "line 3: a number that is not finite in float32"),
        ("2 2\na 1 1e99\nb 1 2\n", "line 2: a number that is not finite in float32"),
        ("1 2\n 1 2\n", "line 2: begins with a space, where a word should stand"),
        ("2 1\na 1\n\nb 1\n", "line 3: 0 numbers after '', but 1 dimensions in the header"),
        (b"1 2\n\xff\xfe\x01 1 2\n", "line 2: not UTF-8 text (byte 1); is it the binary format of word2vec?"),
        (f"9 1\n{'x' * 50} 1 2\n", f"2 numbers after '{'x' * 40}…'"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "bad.vec"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=re.escape(message)) as found:
        load_text(path)
    assert str(path) in str(found.value)


def test_trailing_spaces_carriage_returns_and_a_byte_order_mark_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.vec"
    path.write_bytes("\ufeff2 2\r\na 1 2 \r\n山 3 4".encode())
    assert_equal(load_text(path), WordVectors(("a", "山"), np.array([[1, 2], [3, 4]], np.float32)))


@pytest.mark.parametrize("word", ["new york", "", "a\nb", "a\r"])
def test_a_word_that_the_text_format_cannot_hold_is_refused(tmp_path: Path, word: str) -> None:
    with pytest.raises(DataError, match=re.escape(f"the text format cannot hold the word {word!r}")):
        save_text(WordVectors((word,), np.ones((1, 1), np.float32)), tmp_path / "a.vec")
    assert not any(tmp_path.iterdir())


def test_half_a_surrogate_pair_is_refused_in_text_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="half of a surrogate pair"):
        save_text(WordVectors(("a\ud800",), np.ones((1, 1), np.float32)), tmp_path / "a.vec")
    assert not any(tmp_path.iterdir())


def _config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def _tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        tensors = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return rewrite


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_config(wrods=1), "wrods: unknown key; did you mean words?"),
        (_config(words=9), "3 words in words.json, but 9 in config.json"),
        (_config(dimensions=5), "vectors is float32 (3, 2); config.json says float32 (3, 5)"),
        (_config(ngrams=None), "holds 'ngrams', which config.json does not speak of"),
        (lambda folder: (folder / "words.json").unlink(), "no words.json; copy the whole folder"),
        (lambda folder: (folder / "words.json").write_text("[1, 2, 3]"), "expected a list of words"),
        (lambda folder: (folder / "words.json").write_text("[1,"), "words.json: not valid JSON"),
        (lambda folder: (folder / "words.json").write_text('["a", "b", "a"]'), "the word 'a' stands twice among 3"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no model.safetensors; copy the whole folder"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x"), "not a sound safetensors file"),
        (_tensors(lambda tensors: tensors.pop("ngrams")), "no tensor 'ngrams', of which config.json speaks"),
        (_tensors(lambda tensors: tensors.update(vectors=tensors["vectors"].half())), "vectors is float16 (3, 2)"),
        (_tensors(lambda tensors: tensors["ngrams"].fill_(torch.nan)), "ngrams has numbers that are not finite"),
    ],
)
def test_a_damaged_folder_says_what_does_not_fit(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    ngrams = NgramVectors(2, 3, np.ones((4, 2), np.float32))
    save_vectors(tmp_path, WordVectors(("a", "b", "c"), np.ones((3, 2), np.float32), ngrams))
    damage(tmp_path)
    with pytest.raises(WeightsError, match=re.escape(message)):
        load_vectors(tmp_path)
