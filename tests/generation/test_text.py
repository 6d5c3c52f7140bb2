"""Text around the engine: streams, stop strings, characters that span tokens."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers

from wenlu.bundle import Bundle
from wenlu.errors import UsageError
from wenlu.generation.conversation import Conversation
from wenlu.generation.engine import Engine, Request
from wenlu.generation.settings import SamplingConfig
from wenlu.generation.text import complete, encode_prompt, stream, stream_text
from wenlu.models import LanguageModel
from wenlu.tasks.causal_lm import CausalLM
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer
from wenlu.tokenizers.config import KindName
from wenlu.tokenizers.files import Settings

PROMPTS = ["今天", "The cat", "", "🙂 hello 世界", "x" * 20, "a b c d e f g"]
SETTINGS = [
    SamplingConfig(max_new_tokens=40),
    SamplingConfig(max_new_tokens=40, temperature=1.5, seed=4),
    SamplingConfig(max_new_tokens=30, temperature=1.0, top_p=0.9, repetition_penalty=1.3, stop=("e", "天")),
]


@pytest.mark.parametrize("sampling", SETTINGS, ids=["greedy", "drawn", "stopped"])
def test_streamed_pieces_join_to_the_completed_text(bundle: Bundle, sampling: SamplingConfig) -> None:
    completions = complete(bundle, PROMPTS, sampling)
    assert [c.prompt for c in completions] == PROMPTS
    assert ["".join(stream_text(bundle, prompt, sampling)) for prompt in PROMPTS] == [c.text for c in completions]


def test_completions_do_not_depend_on_order_or_batch(bundle: Bundle) -> None:
    sampling = SETTINGS[1]
    expected = [c.choices for c in complete(bundle, PROMPTS, sampling)]
    for batch in (1, 2, 5):
        narrow = complete(bundle, PROMPTS[::-1], sampling.model_copy(update={"max_batch": batch}))[::-1]
        assert [c.choices[0].text for c in narrow] == [choices[0].text for choices in expected]
        assert [c.choices[0].logprob for c in narrow] == pytest.approx([c[0].logprob for c in expected], abs=1e-3)


def test_prompt_and_answer_decode_as_one_text(bundle: Bundle) -> None:
    sampling = SamplingConfig(max_new_tokens=30, temperature=1.0, seed=11, ignore_end=True)
    for prompt in PROMPTS:
        answer = complete(bundle, [prompt], sampling)[0]
        assert answer.choices[0].tokens == 30
        tokens = _tokens(bundle, prompt, sampling)
        assert bundle.tokenizer.decode([*encode_prompt(bundle, prompt), *tokens]) == prompt + answer.text


@pytest.mark.parametrize("kind", ["bpe", "unigram", "wordpiece", "char", "word"])
def test_an_answer_of_any_tokenizer_fits_its_prompt_without_a_seam(
    make_llama: Callable[..., LanguageModel], kind: KindName
) -> None:
    size = {"bpe": 300, "unigram": 400, "wordpiece": 150}.get(kind, "auto")
    config = TokenizerConfig.model_validate({"kind": kind, "vocab_size": size, "min_frequency": 1})
    tokenizer = train_tokenizer(config, ["the cat sat on the mat", Path(__file__).read_text(encoding="utf-8")])
    model = make_llama(context=128, vocab_size=tokenizer.vocab_size)
    bundle = Bundle(model=model, tokenizer=tokenizer, task=CausalLM(), config=model.config, path=Path(kind))
    sampling = SamplingConfig(max_new_tokens=20, temperature=1.5, ignore_end=True)
    for seed in range(8):
        drawn = sampling.model_copy(update={"seed": seed})
        ids = encode_prompt(bundle, "the cat")
        answer = complete(bundle, ["the cat"], drawn)[0].text
        assert tokenizer.decode(ids) + answer == tokenizer.decode([*ids, *_tokens(bundle, "the cat", drawn)])


def _tokens(bundle: Bundle, prompt: str, sampling: SamplingConfig) -> list[int]:
    engine = Engine(bundle.model)
    engine.submit(Request(encode_prompt(bundle, prompt), sampling.max_new_tokens, sampling.rules(), seed=sampling.seed))
    found = []
    while engine.busy:
        found += [emission.token for emission in engine.step()]
    return found


def test_no_piece_breaks_a_character(forced: Callable[[str], Bundle]) -> None:
    text = "汉字与🙂👩‍👩‍👧 naïve ñandú"
    pieces = list(stream_text(forced(text), "", SamplingConfig(max_new_tokens=200)))
    assert "".join(pieces) == text
    assert len(pieces) > len(text) / 2
    assert not any("\ufffd" in piece for piece in pieces)


def test_bytes_that_never_become_a_character_come_at_the_end(forced: Callable[[str], Bundle]) -> None:
    bundle = forced("ab🙂")
    tokens = len(bundle.tokenizer.encode("ab🙂"))
    assert list(stream_text(bundle, "", SamplingConfig(max_new_tokens=tokens - 1))) == ["a", "b", "\ufffd"]


@pytest.mark.parametrize(
    ("stop", "shown"), [("END", "one "), ("🙂", "one END two "), ("o E", "one END tw"), ("zz", None)]
)
def test_a_stop_string_is_never_shown(forced: Callable[[str], Bundle], stop: str, shown: str | None) -> None:
    text = "one END two 🙂 o EN"
    shown = {"o E": "one END two 🙂 "}.get(stop, shown)
    pieces = list(stream(forced(text), "", SamplingConfig(max_new_tokens=200, stop=(stop,))))
    assert "".join(piece.text for piece in pieces) == (text if shown is None else shown)
    assert pieces[-1].finish == "stop"
    assert all(piece.finish is None for piece in pieces[:-1])


def test_text_that_only_began_a_stop_string_is_shown_at_the_end(forced: Callable[[str], Bundle]) -> None:
    bundle = forced("ab" * 4)
    assert complete(bundle, [""], SamplingConfig(max_new_tokens=3, stop=("bb", "ac")))[0].text == "aba"


def test_a_stop_string_in_the_prompt_stops_nothing(forced: Callable[[str], Bundle]) -> None:
    assert complete(forced("xyz"), ["xyz"], SamplingConfig(max_new_tokens=2, stop=("yzx", "zx")))[0].choices[0].tokens


def test_the_end_token_is_no_text(forced: Callable[[str], Bundle]) -> None:
    choice = complete(forced("ab"), [""], SamplingConfig(max_new_tokens=50))[0].choices[0]
    assert (choice.text, choice.tokens, choice.finish) == ("ab", 3, "stop")


def test_ignore_end_goes_on_behind_the_end_token(forced: Callable[[str], Bundle]) -> None:
    choice = complete(forced("ab"), [""], SamplingConfig(max_new_tokens=9, ignore_end=True))[0].choices[0]
    assert (choice.tokens, choice.finish) == (9, "length")


def test_n_answers_differ_and_the_first_is_that_of_n_1(bundle: Bundle) -> None:
    one = SamplingConfig(max_new_tokens=12, temperature=1.5, seed=3)
    choices = complete(bundle, ["The"], one.model_copy(update={"n": 4}))[0].choices
    assert len({choice.text for choice in choices}) == 4
    assert choices[0].text == complete(bundle, ["The"], one)[0].text


def test_beams_come_best_first(bundle: Bundle) -> None:
    sampling = SamplingConfig(max_new_tokens=8, num_beams=5, n=3, ignore_end=True)
    choices = complete(bundle, ["The", "天"], sampling)[1].choices
    assert len(choices) == 3
    assert [c.logprob for c in choices] == sorted((c.logprob for c in choices), reverse=True)
    greedy = complete(bundle, ["天"], SamplingConfig(max_new_tokens=8, ignore_end=True))[0].choices[0]
    assert choices[0].logprob >= greedy.logprob - 1e-4


@pytest.mark.parametrize("sampling", [SamplingConfig(n=2, temperature=1.0), SamplingConfig(num_beams=2)])
def test_only_one_answer_streams(bundle: Bundle, sampling: SamplingConfig) -> None:
    with pytest.raises(UsageError, match="only one answer streams, and no beams; set both to 1"):
        stream_text(bundle, "a", sampling)


def test_a_prompt_that_is_too_long_is_refused_before_anything_is_generated(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match=r"prompt has \d+ tokens, .* shorten the prompt"):
        complete(bundle, ["ok", "a b " * 500], SamplingConfig())


@pytest.mark.parametrize(
    "sampling",
    [
        SamplingConfig(max_new_tokens=40, temperature=5.0, ignore_end=True),
        SamplingConfig(max_new_tokens=6, num_beams=8, n=8, ignore_end=True),
    ],
    ids=["drawn", "beams"],
)
def test_a_model_with_more_tokens_than_its_tokenizer_chooses_only_those_it_has(
    make_llama: Callable[..., LanguageModel], byte_tokenizer: Tokenizer, sampling: SamplingConfig
) -> None:
    model = make_llama(vocab_size=10 * byte_tokenizer.vocab_size)
    wide = Bundle(model=model, tokenizer=byte_tokenizer, task=CausalLM(), config=model.config, path=Path("wide"))
    choice = complete(wide, ["a"], sampling)[0].choices[0]
    assert choice.tokens == sampling.max_new_tokens


def test_text_that_looks_like_a_special_token_is_text(bundle: Bundle) -> None:
    ids = encode_prompt(bundle, "<|endoftext|>")
    assert ids[0] == bundle.tokenizer.bos_id
    assert bundle.tokenizer.bos_id not in ids[1:]


@pytest.mark.parametrize(("config", "length"), [({}, 1), ({"add_bos_token": True}, 1), ({"add_bos_token": False}, 0)])
def test_the_tokenizers_config_says_whether_bos_stands_before_a_prompt(
    make_llama: Callable[..., LanguageModel], tokenizer: Tokenizer, config: dict[str, bool], length: int
) -> None:
    told = Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(tokenizer.document)), tokenizer.roles, Settings(config))
    model = make_llama(vocab_size=told.vocab_size)
    bundle = Bundle(model=model, tokenizer=told, task=CausalLM(), config=model.config, path=Path("told"))
    expected = [tokenizer.bos_id][:length] + tokenizer.encode("The cat")
    assert encode_prompt(bundle, "The cat") == expected
    assert Conversation(bundle)._prompt("The cat", SamplingConfig()) == expected
