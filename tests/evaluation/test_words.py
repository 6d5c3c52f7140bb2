"""Word vectors are scored as gensim scores them, with intervals and coverage."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

from wenlu.errors import DataError
from wenlu.evaluation import EvaluateConfig, Evaluation
from wenlu.evaluation.word_sets import WORD_SETS, find_set, read_analogies, read_pairs
from wenlu.evaluation.words import TextWords, WordTestsConfig, evaluate_words
from wenlu.models.vectors import WordVectors

FAST = EvaluateConfig(resamples=100)


@pytest.fixture(scope="module")
def vectors() -> WordVectors:
    """Random vectors of most words in the sets, some in capitals; some analogies hold by construction."""
    words: dict[str, None] = {}
    for name in ("wordsim353", "simlex999"):
        words |= dict.fromkeys(word for pair in read_pairs(find_set(name)[1]) for word in (pair.first, pair.second))
    analogies = read_analogies(find_set("questions-words")[1])
    words |= dict.fromkeys(word for question in analogies[:9000] for word in (question.a, question.b))
    chosen = [word for i, word in enumerate(words) if i % 10]
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(len(chosen), 24)).astype(np.float32)
    place = {word: i for i, word in enumerate(chosen)}
    for question in analogies[:9000]:
        if question.a in place and question.b in place:
            matrix[place[question.b]] = matrix[place[question.a]] + rng.normal(size=24) / 5 + 1
    return WordVectors(tuple(chosen), matrix)


@pytest.fixture(scope="module")
def evaluation(vectors: WordVectors) -> Evaluation:
    return evaluate_words(vectors, WordTestsConfig(), FAST)


@pytest.fixture(scope="module")
def keyed(vectors: WordVectors) -> KeyedVectors:
    made = KeyedVectors(vectors.dimensions)
    made.add_vectors(list(vectors.words), vectors.matrix)
    return made


@pytest.mark.parametrize("name", ["wordsim353", "simlex999"])
def test_similarity_scores_are_gensims(name: str, evaluation: Evaluation, keyed: KeyedVectors) -> None:
    _, spearman, unknown_percent = keyed.evaluate_word_pairs(str(find_set(name)[1]))
    assert evaluation.value(f"{name}_spearman") == pytest.approx(spearman.statistic, abs=1e-6)
    assert evaluation.value(f"{name}_coverage") == pytest.approx(1 - unknown_percent / 100, abs=1e-12)


def test_analogy_scores_are_gensims(evaluation: Evaluation, keyed: KeyedVectors) -> None:
    accuracy, sections = keyed.evaluate_word_analogies(str(find_set("questions-words")[1]))
    known = len(sections[-1]["correct"]) + len(sections[-1]["incorrect"])
    assert 0.1 < accuracy < 1
    assert evaluation.value("questions-words_accuracy") == pytest.approx(accuracy, abs=1e-6)
    assert evaluation.value("questions-words_coverage") == pytest.approx(known / 19544, abs=1e-12)


def test_each_score_has_its_interval_its_n_and_its_conventions(evaluation: Evaluation) -> None:
    names = [score.name for score in evaluation.scores]
    assert names == [f"{s}_{m}" for s in ("wordsim353", "simlex999") for m in ("spearman", "coverage")] + [
        "questions-words_accuracy",
        "questions-words_coverage",
    ]
    for score in evaluation.scores:
        assert score.low is not None
        assert score.high is not None
        assert score.low <= score.value <= score.high
    first, second = evaluation.scores[:2]
    assert first.signature == "spearman|ties:mean|set:wordsim353|case:ignored|unknown:skipped|v1"
    assert second.n == 353
    assert first.n == evaluation.facts["sets"][0]["known"] == round(353 * second.value)


def test_it_is_written_as_json_with_a_row_a_question(evaluation: Evaluation, tmp_path: Path) -> None:
    evaluation.save(tmp_path)
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert content["model"] == "word-vectors"
    assert [row["set"] for row in content["sets"]] == ["wordsim353", "simlex999", "questions-words"]
    rows = [json.loads(line) for line in (tmp_path / "evaluation.jsonl").read_text().splitlines()]
    assert len(rows) == 353 + 999 + 19544
    assert rows[0].keys() == {"id", "set", "cluster", "gold", "predicted", "known", "asked"}
    assert rows[-1].keys() == {"id", "set", "cluster", "correct", "known", "asked"}


def test_a_set_of_unknown_words_has_coverage_zero_and_no_score() -> None:
    vectors = WordVectors(("的", "了"), np.eye(2, dtype=np.float32))
    evaluation = evaluate_words(vectors, WordTestsConfig(similarity=("simlex999",), analogies=()), FAST)
    spearman, coverage = evaluation.scores
    assert math.isnan(spearman.value)
    assert (spearman.n, coverage.value, coverage.n) == (0, 0, 999)
    assert evaluation.to_json()["metrics"][0]["value"] is None


def test_the_coverage_of_a_text_counts_running_words() -> None:
    vectors = WordVectors(("的", "了"), np.eye(2, dtype=np.float32))
    texts = [TextWords("a", "1", ["的", "的", "书"]), TextWords("b", "2", ["了"]), TextWords("c", "3", [])]
    (score,) = evaluate_words(vectors, WordTestsConfig(similarity=(), analogies=()), FAST, held_out=texts).scores
    assert (score.name, score.value, score.n) == ("text_coverage", 3 / 4, 4)


def test_the_sets_have_the_sizes_that_are_known_of_them() -> None:
    assert [word_set.name for word_set in WORD_SETS] == ["wordsim353", "simlex999", "questions-words"]
    assert len(read_pairs(find_set("wordsim353")[1])) == 353
    assert len(read_pairs(find_set("simlex999")[1])) == 999
    analogies = read_analogies(find_set("questions-words")[1])
    assert len(analogies) == 19544
    assert len({question.section for question in analogies}) == 14


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "wordsim-zh.csv"
    path.write_text("# 词 词 分\n\n老虎,猫,7.35\n老虎 老虎 10\n")
    name, found = find_set(str(path))
    assert name == "wordsim-zh"
    assert [(pair.first, pair.second, pair.gold) for pair in read_pairs(found)] == [
        ("老虎", "猫", 7.35),
        ("老虎", "老虎", 10),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tb\n", "line 1: 'a\\tb' is not two words and a score"),
        ("a\tb\t1\nc\td\tmuch\n", "line 2: 'c\\td\\tmuch' is not two words and a score"),
        ("a\tb\tnan\n", "line 1: 'a\\tb\\tnan' is not two words and a score"),
        ("# nothing\n", "no pairs of words in it"),
    ],
)
def test_a_bad_line_of_pairs_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "pairs.tsv").write_text(content)
    with pytest.raises(DataError, match=re.escape(message)):
        read_pairs(tmp_path / "pairs.tsv")


def test_a_bad_line_of_analogies_is_named(tmp_path: Path) -> None:
    path = tmp_path / "questions.txt"
    path.write_text(": capitals\nAthens Greece Oslo\n")
    with pytest.raises(DataError, match="line 2: 'Athens Greece Oslo' is neither four words nor ': section'"):
        read_analogies(path)
    path.write_text(": capitals\n")
    with pytest.raises(DataError, match="no analogies in it"):
        read_analogies(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8 text"):
        read_analogies(path)


def test_an_unknown_set_names_the_known_ones() -> None:
    with pytest.raises(DataError, match="sets by name: wordsim353, simlex999, questions-words"):
        find_set("wordsim354")


def test_a_set_with_other_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = WORD_SETS[0].__class__("wordsim353", "wordsim353.tsv", "0" * 64)
    monkeypatch.setattr("wenlu.evaluation.word_sets.WORD_SETS", (changed,))
    with pytest.raises(DataError, match="is not the wordsim353 that scores are known for"):
        find_set("wordsim353")
