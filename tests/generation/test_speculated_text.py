"""The setting `speculate`: texts as without it, and the share of guesses that stayed."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from tests.generation.conftest import MakeLlama, as_bundle

from wenlu.bundle import Bundle
from wenlu.config import check
from wenlu.errors import ConfigError, UsageError, WenluError
from wenlu.generation.predict import PredictConfig, PredictSummary, predict_rows, signature
from wenlu.generation.rows import Row
from wenlu.generation.settings import SamplingConfig
from wenlu.generation.text import complete, stream
from wenlu.models import LanguageModel, family
from wenlu.models.weights.layout import save_model
from wenlu.tokenizers import Tokenizer

WORDS = ["The cat", "今天天气", "hello", " ate a", "🙂", " mat and", "的", " the"]
RULES = {
    "greedy": SamplingConfig(max_new_tokens=12),
    "drawn": SamplingConfig(max_new_tokens=24, temperature=0.7, seed=3),
    "ruled": SamplingConfig(
        max_new_tokens=24, temperature=0.9, top_p=0.9, repetition_penalty=1.2, stop=("e",), seed=4, top_logprobs=2
    ),
    "guided": SamplingConfig(max_new_tokens=12, guidance=1.5, temperature=0.5, negative_prompt="天", seed=5),
    "formed": SamplingConfig(
        max_new_tokens=40, json_schema='{"enum": ["天天", [1, 1, 1, 1, 1], null]}', temperature=1.0
    ),
}


def some_prompts(count: int) -> list[str]:
    chance = random.Random(1)
    return ["".join(chance.choices(WORDS, k=chance.randint(1, 12))) for _ in range(count)]


def speculating(sampling: SamplingConfig, by: str) -> SamplingConfig:
    return sampling.model_copy(update={"speculate": by})


@pytest.mark.parametrize("rules", RULES)
def test_answers_are_those_without_where_guesses_are_looked_up(bundle: Bundle, rules: str) -> None:
    prompts = some_prompts(5)
    plain = complete(bundle, prompts, RULES[rules])
    found = complete(bundle, prompts, speculating(RULES[rules], "lookup"))
    for one, other in zip(plain, found, strict=True):
        mine, theirs = one.choices[0], other.choices[0]
        assert (mine.ids, mine.text, mine.finish) == (theirs.ids, theirs.text, theirs.finish)
        assert list(mine.logprobs) == pytest.approx(theirs.logprobs, abs=1e-4)
        assert [[token for token, _ in top] for top in mine.top] == [[token for token, _ in top] for top in theirs.top]
    assert sum(completion.choices[0].guessed for completion in found) > 0


@pytest.mark.parametrize("rules", ["ruled", "guided", "formed"])
def test_drawn_guesses_obey_the_rules_too(bundle: Bundle, rules: str) -> None:
    for completion in complete(bundle, some_prompts(4), speculating(RULES[rules], "layers:1")):
        choice = completion.choices[0]
        assert 0 < choice.tokens <= RULES[rules].max_new_tokens
        assert choice.kept <= choice.guessed
        if rules == "formed" and choice.finish == "stop":
            assert choice.text in ('"天天"', "[1, 1, 1, 1, 1]", "null")
        if rules == "ruled":
            assert "e" not in choice.text


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    save_model(tmp_path, bundle.model, family("llama"))
    bundle.tokenizer.save(tmp_path)
    return tmp_path


def test_another_model_guesses_and_one_that_is_the_same_is_never_wrong(bundle: Bundle, folder: Path) -> None:
    sampling = SamplingConfig(max_new_tokens=9, ignore_end=True, speculate_tokens=2)
    *_, last = stream(bundle, "The", speculating(sampling, str(folder)))
    assert (last.tokens, last.guessed, last.kept) == (9, 5, 5), "one, twice two guesses and one more, one and the last"
    plain = complete(bundle, ["The"], sampling)[0]
    assert complete(bundle, ["The"], speculating(sampling, str(folder)))[0].text == plain.text


def test_a_model_of_another_tokenizer_cannot_guess(
    byte_tokenizer: Tokenizer, make_llama: MakeLlama, folder: Path
) -> None:
    other = as_bundle(make_llama(vocab_size=byte_tokenizer.vocab_size), byte_tokenizer)
    with pytest.raises(UsageError, match="this model has another tokenizer than tiny, so its tokens mean other texts"):
        complete(other, ["a"], SamplingConfig(speculate=str(folder)))


def test_a_model_to_guess_by_that_is_not_there_is_named_with_its_setting(bundle: Bundle) -> None:
    with pytest.raises(WenluError, match=r"speculate='nowhere': nowhere: no such file or folder.* or \"off\""):
        complete(bundle, ["a"], SamplingConfig(speculate="nowhere"))


def test_a_stop_string_ends_an_answer_between_guesses_that_stay(bundle: Bundle, folder: Path) -> None:
    text = complete(bundle, ["The cat"], SamplingConfig(max_new_tokens=20))[0].text
    stop = text[len(text) // 2]
    sampling = SamplingConfig(max_new_tokens=20, stop=(stop,))
    plain = complete(bundle, ["The cat"], sampling)[0].choices[0]
    found = complete(bundle, ["The cat"], speculating(sampling, str(folder)))[0].choices[0]
    assert (found.ids, found.text, found.finish) == (plain.ids, plain.text, "stop")
    assert "".join(piece.text for piece in stream(bundle, "The cat", speculating(sampling, str(folder)))) == plain.text


def test_predictions_tell_how_many_guesses_stayed(bundle: Bundle) -> None:
    rows = [Row("a", "The cat The cat The cat")]
    (plain,) = predict_rows(bundle, rows, PredictConfig(max_new_tokens=20))
    (line,) = predict_rows(bundle, rows, PredictConfig(max_new_tokens=20, speculate="lookup"))
    assert 0 <= line["kept"] <= line["guessed"]
    assert line["guessed"] > 0
    told = {name: line[name] for name in plain if name != "signature"}
    assert told == {name: plain[name] for name in told}
    assert "guessed" not in plain
    summary = PredictSummary(rows=4, errors=0, resumed=0, seconds=2.0, guessed=20, kept=5)
    assert str(summary) == "4 rows, 0 errors, 2.0 rows/s, 5 of 20 guesses kept (25%)"


def test_only_who_speculates_says_so_in_the_signature(bundle: Bundle) -> None:
    off, other, on = (
        signature(bundle, SamplingConfig(**given))  # type: ignore[arg-type]
        for given in ({}, {"speculate_tokens": 8}, {"speculate": "layers:1"})
    )
    assert off == other != on


@pytest.mark.parametrize("wrong", ["", "layers:", "layers:0", "layers:-1", "layers:two"])
def test_who_cannot_guess_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=f'speculate: .*{wrong!r} names nobody who guesses; say "off", "lookup"'):
        check(SamplingConfig, {"speculate": wrong}, where="generate")


def test_what_speculation_does_not_go_with_is_refused(bundle: Bundle, make_lstm: LanguageModel) -> None:
    with pytest.raises(ConfigError, match="speculate='lookup' is not for beams; set num_beams=1, not 2"):
        check(SamplingConfig, {"speculate": "lookup", "num_beams": 2}, where="generate")
    with pytest.raises(UsageError, match="invariant=true and speculate='lookup': torch reads this model, guesses one"):
        complete(bundle, ["a"], SamplingConfig(speculate="lookup", invariant=True, weights="torch"))
    with pytest.raises(UsageError, match=r"LSTM keeps more than keys and values, .* leave speculate out"):
        complete(replace(bundle, model=make_lstm, config=make_lstm.config), ["a"], SamplingConfig(speculate="lookup"))


@pytest.fixture
def make_lstm(tokenizer: Tokenizer) -> LanguageModel:
    row = family("lstm")
    return row.build(row.config(vocab_size=tokenizer.vocab_size, hidden_size=8, num_hidden_layers=1)).eval()
