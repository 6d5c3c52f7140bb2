"""What word vectors answer: as gensim answers on the same matrix."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

from wenlu.errors import DataError
from wenlu.models.vectors import Analogy, NgramVectors, WordPair, WordVectors

WORDS = ("the", "King", "queen", "man", "woman", "king", "Paris", "France", "Rome", "Italy", "walk", "walked")


def drawn(words: tuple[str, ...] = WORDS, dimensions: int = 7, seed: int = 0) -> WordVectors:
    matrix = np.random.default_rng(seed).normal(size=(len(words), dimensions)).astype(np.float32)
    return WordVectors(words, matrix)


def keyed(vectors: WordVectors) -> KeyedVectors:
    made = KeyedVectors(vectors.dimensions)
    made.add_vectors(list(vectors.words), vectors.matrix)
    return made


@pytest.fixture
def vectors() -> WordVectors:
    return drawn()


def test_similarity_is_that_of_gensim(vectors: WordVectors) -> None:
    theirs = keyed(vectors)
    for first in WORDS:
        for second in WORDS:
            assert vectors.similarity(first, second) == pytest.approx(theirs.similarity(first, second), abs=1e-6)


def test_neighbours_are_those_of_gensim_in_its_order(vectors: WordVectors) -> None:
    theirs = keyed(vectors)
    for plus, minus in ((["king"], []), (["king", "woman"], ["man"]), (["Rome", "France"], ["Paris", "the"])):
        found = vectors.neighbours(plus, minus, count=5)
        expected = theirs.most_similar(positive=plus, negative=minus, topn=5)
        assert [neighbour.word for neighbour in found] == [word for word, _ in expected]
        assert [neighbour.score for neighbour in found] == pytest.approx([score for _, score in expected], abs=1e-6)


def test_an_analogy_is_the_neighbourhood_of_b_minus_a_plus_c(vectors: WordVectors) -> None:
    expected = keyed(vectors).most_similar(positive=["king", "woman"], negative=["man"], topn=3)
    assert [(n.word, pytest.approx(n.score, abs=1e-6)) for n in vectors.analogy("man", "king", "woman", count=3)] == [
        (word, score) for word, score in expected
    ]


def test_no_asked_word_is_its_own_neighbour(vectors: WordVectors) -> None:
    assert {n.word for n in vectors.neighbours(["king", "man"], count=99)} == set(WORDS) - {"king", "man"}


def test_pairs_score_as_gensim_scores_them(tmp_path: Path) -> None:
    words = (*(f"w{i}" for i in range(40)), "W3")
    vectors = drawn(words)
    chosen = np.random.default_rng(1)
    pairs = [(f"w{a}", f"W{b}", chosen.random()) for a, b in chosen.integers(44, size=(200, 2))]
    file = tmp_path / "pairs.tsv"
    file.write_text("# header\n" + "".join(f"{a}\t{b}\t{g}\n" for a, b, g in pairs))
    answers = vectors.answer([WordPair(a, b, g) for a, b, g in pairs])
    known = [i for i, answer in enumerate(answers) if answer is not None]
    theirs = keyed(vectors)
    _, _, unknown_percent = theirs.evaluate_word_pairs(str(file))
    assert 100 * (1 - len(known) / len(pairs)) == pytest.approx(unknown_percent, abs=1e-9)
    assert 0 < len(known) < len(pairs)
    for i in known:
        assert answers[i] == pytest.approx(theirs.similarity(pairs[i][0], pairs[i][1].lower()), abs=1e-6)


def test_analogies_are_completed_as_gensim_completes_them(tmp_path: Path) -> None:
    words = (*(f"w{i}" for i in range(30)), "W3", "W7")
    vectors = drawn(words, dimensions=4)
    rng = np.random.default_rng(2)
    questions = [
        Analogy(*(f"{'wW'[rng.integers(2)]}{i}" for i in rng.choice(33, size=4, replace=False))) for _ in range(300)
    ]
    answers = vectors.answer(questions)
    for i in range(0, 300, 3):  # some right ones
        if answers[i] is not None:
            q = questions[i]
            questions[i] = Analogy(q.a, q.b, q.c, str(answers[i]))
    file = tmp_path / "questions.txt"
    file.write_text(": drawn\n" + "".join(f"{q.a} {q.b} {q.c} {q.expected}\n" for q in questions))
    answers = vectors.answer(questions)
    known = [i for i, answer in enumerate(answers) if answer is not None]
    right = [i for i in known if str(answers[i]).upper() == questions[i].expected.upper()]
    score, sections = keyed(vectors).evaluate_word_analogies(str(file))
    total = sections[-1]
    assert len(total["correct"]) + len(total["incorrect"]) == len(known) < 300
    upper = [tuple(word.upper() for word in (q.a, q.b, q.c, q.expected)) for q in (questions[i] for i in right)]
    assert total["correct"] == upper
    assert len(right) / len(known) == pytest.approx(score, abs=1e-12)


def test_questions_in_parts_get_the_answers_of_all_at_once(
    vectors: WordVectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = [Analogy(*WORDS[i : i + 4]) for i in range(8)]
    whole = vectors.answer(questions)
    monkeypatch.setattr("wenlu.models.vectors.vectors._AT_ONCE", 2 * len(WORDS))
    assert vectors.answer(questions) == whole


def test_case_is_a_hint_in_a_look_up_and_ignored_in_questions(vectors: WordVectors) -> None:
    assert vectors.vector("king").tolist() == vectors.matrix[5].tolist()
    assert vectors.vector("PARIS").tolist() == vectors.matrix[6].tolist()
    (answer,) = vectors.answer([WordPair("king", "queen", 1.0)])
    assert answer == pytest.approx(vectors.similarity("King", "queen"), abs=1e-6)


def test_an_unknown_word_is_named(vectors: WordVectors) -> None:
    message = "'xyzzy' is not among the 12 words; FastText's vectors would know it by its letters"
    with pytest.raises(DataError, match=re.escape(message)):
        vectors.neighbours(["king", "xyzzy"])
    with pytest.raises(DataError, match="no word to look for neighbours of"):
        vectors.neighbours([])


def test_a_word_without_ngrams_is_named_too(vectors: WordVectors) -> None:
    ngrams = NgramVectors(5, 6, np.ones((4, 7), np.float32))
    with pytest.raises(DataError, match="'ab' is not among the 12 words; it has no n-grams"):
        WordVectors(vectors.words, vectors.matrix, ngrams).vector("ab")


def test_vectors_of_zeros_are_like_nothing() -> None:
    vectors = WordVectors(("a", "b"), np.array([[0, 0], [1, 2]], np.float32))
    assert vectors.similarity("a", "b") == 0
    assert [n.score for n in vectors.neighbours(["a"])] == [0]


def test_three_words_leave_nothing_to_complete_an_analogy() -> None:
    assert drawn(("a", "b", "c")).answer([Analogy("a", "b", "c", "a")]) == [None]


def test_words_and_rows_must_match() -> None:
    with pytest.raises(ValueError, match=re.escape("2 words, but a matrix of float32 (3, 2)")):
        WordVectors(("a", "b"), np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="the word 'a' stands twice among 3"):
        WordVectors(("a", "b", "a"), np.zeros((3, 2), np.float32))
