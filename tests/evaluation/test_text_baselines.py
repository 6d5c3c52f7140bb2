"""What models that write have to beat: a translation memory, and the first sentences."""

from __future__ import annotations

import numpy as np
import pytest

from wenlu.corpus.chats import Turn
from wenlu.evaluation.baselines import dialogue, nearest, summarisation, translation
from wenlu.tasks.dialogues.chat import Chat
from wenlu.tasks.labelled.writing import TextPair

MEMORY = [("我们试试看。", "Let's try."), ("我该去睡觉了。", "I must sleep."), ("生日快乐！", "Happy birthday!")]


def fitted() -> translation.TranslationMemory:
    return translation.fit(None, [TextPair(*pair) for pair in MEMORY])  # type: ignore[arg-type]


def test_the_memory_says_the_translation_of_what_is_most_alike() -> None:
    asked = ["我们试试吧。", "去睡觉了", "祝你生日快乐"]
    assert [found.text for found in fitted().answer([TextPair(text) for text in asked])] == [b for _, b in MEMORY]


def test_the_reply_is_that_to_the_turn_most_like_the_last_one() -> None:
    def talk(*said: str) -> Chat:
        return Chat.of([Turn("assistant" if n % 2 else "user", text) for n, text in enumerate(said)])

    training = [talk("hello there", "hi", "what do you eat?", "rice"), talk("where do you live?", "in a town")]
    found = dialogue.fit(None, training).answer([talk("so where do you live now?"), talk("hi", "yes", "do you eat?")])  # type: ignore[arg-type]
    assert [answer.text for answer in found] == ["in a town", "rice"]


@pytest.mark.parametrize("at_once", [1, 7, 2**24])
def test_blocks_of_any_size_find_the_largest_cosine(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "SIMILARITIES_AT_ONCE", at_once)
    drawn = np.random.default_rng(0)
    texts = ["".join(drawn.choice(list("abcde"), 8)) for _ in range(40)]
    memory = nearest.Nearest.fit(texts[:30], texts[:30])
    answers = memory.answers_to(texts)
    rows = [memory.vectoriser.transform([text]).toarray()[0] for text in texts]
    known = memory.features.toarray()
    best = [max(float(row @ other) for other in known) for row in rows]
    found = [float(row @ known[texts.index(answer)]) for row, answer in zip(rows, answers, strict=True)]
    assert found == pytest.approx(best)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One came. Two left! Did three? Four slept.", "One came.\nTwo left!\nDid three?"),
        ("第一句。第二句！第三句？第四句。", "第一句。\n第二句！\n第三句？"),
        ("Only one.", "Only one."),
    ],
)
def test_the_lead_is_the_first_three_sentences(text: str, expected: str) -> None:
    lead = summarisation.fit(None, [])  # type: ignore[arg-type]
    assert [answer.text for answer in lead.answer([TextPair(text)])] == [expected]
