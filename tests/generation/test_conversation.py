"""Turns with a base model: one text, continued."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from wenlu.bundle import Bundle
from wenlu.errors import DataError, UsageError
from wenlu.generation.conversation import Conversation, Turn
from wenlu.generation.settings import SamplingConfig
from wenlu.generation.text import complete

SAMPLING = SamplingConfig(max_new_tokens=8, temperature=1.0, seed=5)


def say(conversation: Conversation, user: str, sampling: SamplingConfig = SAMPLING) -> str:
    return "".join(piece.text for piece in conversation.answer(user, sampling))


def test_an_answer_continues_system_text_turns_and_the_users_text(bundle: Bundle) -> None:
    conversation = Conversation(bundle, system="Cats.")
    first = say(conversation, "The cat")
    assert first == complete(bundle, ["Cats.\nThe cat"], SAMPLING)[0].text
    so_far = f"Cats.\nThe cat{first}"
    assert conversation.text == so_far
    second = say(conversation, "A hat")
    gap = "" if so_far.endswith("\n") else "\n"
    next_seed = SAMPLING.model_copy(update={"seed": 6})
    assert second == complete(bundle, [f"{so_far}{gap}A hat"], next_seed)[0].text
    assert conversation.turns == [Turn("The cat", first), Turn("A hat", second)]


def test_an_empty_line_lets_the_model_go_on(forced: Callable[[str], Bundle]) -> None:
    conversation = Conversation(forced("abcdef"))
    say(conversation, "x", SamplingConfig(max_new_tokens=2))
    assert conversation.text == "xab"
    say(conversation, "", SamplingConfig(max_new_tokens=2))
    assert conversation.text == "xabab"


def test_a_turn_that_is_closed_keeps_what_came_so_far(forced: Callable[[str], Bundle]) -> None:
    conversation = Conversation(forced("abcdef"))
    with closing(conversation.answer("x", SAMPLING)) as pieces:
        for piece in pieces:
            if piece.tokens == 3:
                break
    assert conversation.turns == [Turn("x", "abc")]


def test_a_reset_forgets_the_turns_but_not_the_system_text(bundle: Bundle) -> None:
    conversation = Conversation(bundle, system="Cats.\n")
    say(conversation, "The")
    conversation.reset()
    assert conversation.text == "Cats.\n"
    assert conversation.turns == []


def test_the_same_question_again_draws_another_answer(bundle: Bundle) -> None:
    conversation = Conversation(bundle)
    found = []
    for _ in range(3):
        found.append(say(conversation, "The"))
        conversation.reset()
    assert len(set(found)) == 3


def test_a_conversation_outgrows_the_context_and_keeps_its_system_text(bundle: Bundle) -> None:
    conversation = Conversation(bundle, system="Cats.")
    for n in range(30):
        say(conversation, f"turn {n}")
    assert conversation.forgotten > 0
    assert len(conversation.turns) == 30
    head = [bundle.tokenizer.bos_id, *bundle.tokenizer.encode("Cats.\n")]
    ids = conversation._prompt("word " * 200, SAMPLING)
    assert ids[: len(head)] == head
    assert len(ids) == 128 - 8
    assert bundle.tokenizer.decode(ids).endswith("word word ")


def test_a_system_text_that_fills_the_context_is_refused(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match=r"system text has \d+ tokens and leaves no room .* context of 128; shorten"):
        say(Conversation(bundle, system="x " * 200), "hello")


def test_a_conversation_is_saved_as_text_or_with_all_that_made_it(
    forced: Callable[[str], Bundle], tmp_path: Path
) -> None:
    conversation = Conversation(forced("猫"), system="S")
    say(conversation, "你", SamplingConfig())
    conversation.save(tmp_path / "new" / "talk.txt", SAMPLING)
    assert (tmp_path / "new" / "talk.txt").read_text(encoding="utf-8") == "S\n你猫\n"
    conversation.save(tmp_path / "talk.json", SAMPLING)
    assert json.loads((tmp_path / "talk.json").read_text(encoding="utf-8")) == {
        "model": "tiny",
        "system": "S",
        "settings": {"max_new_tokens": 8, "temperature": 1.0, "seed": 5},
        "turns": [{"user": "你", "answer": "猫"}],
    }
    with pytest.raises(UsageError, match=r"talk.txt: exists already; choose another name"):
        conversation.save(tmp_path / "new" / "talk.txt", SAMPLING)


def test_a_saved_conversation_is_taken_up_again(forced: Callable[[str], Bundle], tmp_path: Path) -> None:
    conversation = Conversation(forced("猫"), system="S")
    say(conversation, "你", SamplingConfig())
    conversation.save(tmp_path / "talk.json", SAMPLING)
    other = Conversation(forced("猫"))
    assert other.load(tmp_path / "talk.json") == {"max_new_tokens": 8, "temperature": 1.0, "seed": 5}
    assert (other.system, other.turns, other.text) == ("S", conversation.turns, conversation.text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("words", r"talk.json: is no conversation; /save FILE.json writes one"),
        ('{"turns": []}', "system, settings and turns belong to it .*'system'"),
        ('{"system": "", "settings": {}, "turns": [{"user": 1, "answer": ""}]}', "1 is no text"),
        ("[]", "system, settings and turns"),
    ],
)
def test_what_is_no_conversation_is_refused_and_the_present_one_stays(
    forced: Callable[[str], Bundle], tmp_path: Path, content: str, message: str
) -> None:
    conversation = Conversation(forced("猫"), system="S")
    say(conversation, "你", SamplingConfig())
    (tmp_path / "talk.json").write_text(content)
    with pytest.raises(DataError, match=message):
        conversation.load(tmp_path / "talk.json")
    assert (conversation.system, conversation.turns) == ("S", [Turn("你", "猫")])


def test_a_turn_is_taken_back(forced: Callable[[str], Bundle]) -> None:
    conversation = Conversation(forced("猫"))
    with pytest.raises(UsageError, match="no turn to take back yet; write something first"):
        conversation.undo()
    say(conversation, "你", SamplingConfig())
    assert conversation.undo() == Turn("你", "猫")
    assert conversation.turns == []
