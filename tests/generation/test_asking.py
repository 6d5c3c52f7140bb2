"""Any model answers texts from Python as `wenlu predict` answers them."""

from __future__ import annotations

from pathlib import Path

import pytest

import wenlu
from wenlu.bundle import Bundle
from wenlu.errors import ConfigError, UsageError
from wenlu.generation.predict import PredictConfig, predict_rows
from wenlu.generation.rows import Row

SHORT = "max_new_tokens=6"


def test_texts_are_answered_as_rows_of_a_file_are(bundle: Bundle) -> None:
    texts = ["The cat", "今天"]
    found = wenlu.ask(bundle, texts, ["temperature=0.8", "top_k=5", SHORT])
    rows = [Row(f"texts:{number}", text) for number, text in enumerate(texts, start=1)]
    assert found == list(predict_rows(bundle, rows, PredictConfig(temperature=0.8, top_k=5, max_new_tokens=6)))


def test_drawing_from_the_likeliest_alone_is_greedy(bundle: Bundle) -> None:
    greedy, drawn = (wenlu.ask(bundle, ["The cat"], [cut, SHORT])[0] for cut in ("temperature=0", "top_k=1"))
    assert drawn["prediction"] == greedy["prediction"]


def test_word_vectors_name_their_neighbours(tmp_path: Path) -> None:
    (tmp_path / "words.vec").write_text("3 2\nking 1 0\nqueen 0.9 0.1\nfish 0 1\n", encoding="utf-8")
    found = wenlu.ask(str(tmp_path / "words.vec"), ["king"], ["neighbours=1"])
    assert found[0]["prediction"] == "queen"


def test_one_string_is_not_taken_for_a_list_of_letters(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match=r"texts: several are asked for, not one string; write \['The cat'\]"):
        wenlu.ask(bundle, "The cat")


def test_a_text_that_cannot_be_answered_is_named(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="texts:2: "):
        wenlu.ask(bundle, ["The cat", "The cat " * 200])


def test_an_unknown_setting_is_named(bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="top_kk: unknown key; did you mean top_k"):
        wenlu.ask(bundle, ["The cat"], ["top_kk=5"])
