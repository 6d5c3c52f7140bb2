"""Conversations: each reply is learnt behind exactly what is asked, once, and nothing else is."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.tiny import SIZES, NewTokenizer

from wenlu.corpus.chats import Turn
from wenlu.corpus.record import Record
from wenlu.errors import ConfigError, DataError
from wenlu.models import LanguageModel, family
from wenlu.tasks import IGNORED, Dialogue, Draw, new_task, read_settings
from wenlu.tasks.dialogues.chat import Chat
from wenlu.tasks.dialogues.gaps import Gaps
from wenlu.tasks.labelled.generative import WrittenRows
from wenlu.tokenizers import ROLE_TOKENS, Tokenizer
from wenlu.tokenizers.files import Settings

CONTEXT = 64
TALK = ["the cat?", "it sat.", "the dog?", "it didn't.", "then?", "then it moved.", "4 times?", "7 times."]


def chat(*said: str, system: str = "", id: str = "a:1") -> Chat:
    turns = [Turn("assistant" if number % 2 else "user", text) for number, text in enumerate(said)]
    return Chat.of([Turn("system", system), *turns] if system else turns, id)


def task_for(tokenizer: Tokenizer, context: int = CONTEXT, **settings: Any) -> Dialogue:
    config = read_settings({"name": "dialogue", "language": "en", **settings})
    task = new_task(config.made_for(family("llama"), context), tokenizer)  # type: ignore[attr-defined]
    assert isinstance(task, Dialogue)
    return task


@pytest.fixture
def tokenizer(new_tokenizer: NewTokenizer) -> Tokenizer:
    return new_tokenizer(special=ROLE_TOKENS)


@pytest.fixture
def task(tokenizer: Tokenizer) -> Dialogue:
    return task_for(tokenizer)


def with_template(tokenizer: Tokenizer, template: str) -> Tokenizer:
    return tokenizer.with_settings(Settings(tokenizer.settings.config, template))


def tiny(tokenizer: Tokenizer, name: str = "llama") -> LanguageModel:
    torch.manual_seed(0)
    chosen = family(name)
    known = {
        key: value for key, value in {**SIZES, "initializer_range": 0.3}.items() if key in chosen.config.model_fields
    }
    config = chosen.config(vocab_size=tokenizer.vocab_size, bos_token_id=0, eos_token_id=0, **known)
    return chosen.build(config, dtype=torch.float64).eval()


def learnt(rows: WrittenRows) -> list[list[tuple[list[int], list[int]]]]:
    """Of each row what stands before each run of targets, and the run."""
    found = []
    assert rows.targets is not None
    for number in range(len(rows)):
        ids, targets = rows.inputs[number].tolist(), rows.targets[number].tolist()
        runs: list[tuple[list[int], list[int]]] = []
        for place, token in enumerate(targets):
            if token == IGNORED:
                continue
            if place and targets[place - 1] != IGNORED:
                runs[-1][1].append(token)
            else:
                runs.append((ids[: place + 1], [token]))
        found.append(runs)
    return found


def by_hand(model: LanguageModel, tokenizer: Tokenizer, said: Sequence[str]) -> tuple[float, int]:
    """Nats of all replies of a conversation, written out by role tokens, each from a pass of its own."""
    special = tokenizer.special_tokens
    ids: list[int] = []
    nats, count = 0.0, 0
    for number, text in enumerate(said):
        ids.append(special["<|assistant|>" if number % 2 else "<|user|>"])
        target = [*tokenizer.encode(text), special["<|end|>"]]
        if number % 2:
            with torch.no_grad():
                logp = model(torch.tensor([[*ids, *target[:-1]]]))[0, len(ids) - 1 :].log_softmax(-1)
            nats -= sum(float(logp[place, token]) for place, token in enumerate(target))
            count += len(target)
        ids += target
    return nats, count


@pytest.mark.parametrize("name", ["llama", "gpt2", "lstm"])
def test_the_loss_is_the_nats_of_the_replies_alone(name: str, tokenizer: Tokenizer, task: Dialogue) -> None:
    model, said = tiny(tokenizer, name), [TALK[:6], TALK[2:4]]
    batch = task.batch(Draw.at(task.rows([chat(*each) for each in said], CONTEXT), np.arange(2)))
    loss = task.loss(model, batch)
    nats, counts = zip(*(by_hand(model, tokenizer, each) for each in said), strict=True)
    assert loss.count == sum(counts)
    assert loss.sum.item() == pytest.approx(sum(nats), rel=1e-9)


def test_what_is_measured_of_each_conversation_is_what_its_replies_cost(tokenizer: Tokenizer, task: Dialogue) -> None:
    model, said = tiny(tokenizer), [TALK, TALK[:2], TALK[2:6]]
    found = task.likelihoods(model, [chat(*each) for each in said], CONTEXT)
    for measured, each in zip(found, said, strict=True):
        nats, count = by_hand(model, tokenizer, each)
        assert (measured.likelihood.nll_nats, measured.likelihood.tokens) == (pytest.approx(nats), count)
        assert measured.size == sum(len(text.encode()) for text in each[1::2])
        replies = [(*tokenizer.encode(text), task.end_id) for text in each[1::2]]
        assert sorted(measured.targets) == sorted(replies)


def test_every_reply_of_a_conversation_is_learnt_in_one_row_with_its_end(tokenizer: Tokenizer, task: Dialogue) -> None:
    (runs,) = learnt(task.rows([chat(*TALK[:6])], CONTEXT))
    end = tokenizer.special_tokens["<|end|>"]
    assert [run for _, run in runs] == [[*tokenizer.encode(text), end] for text in TALK[1:6:2]]


def test_what_is_asked_later_is_what_stood_before_each_reply(task: Dialogue) -> None:
    whole = chat(*TALK[:6], system="quiet")
    (runs,) = learnt(task.rows([whole], CONTEXT))
    asked = [whole.asked_at(place) for place in whole.replies]
    assert [before for before, _ in runs] == task.prompts(asked, 2 * CONTEXT)


TEMPLATES = {
    "chatml": "{% for m in messages %}<|user|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|user|>assistant\n{% endif %}",
    "spaced": "{% for m in messages %}{% if m.role == 'user' %}<|user|> {{ m.content }} <|assistant|>"
    "{% else %} {{ m.content }}<|end|>{% endif %}{% endfor %}",
    "forgetful": "{% for m in messages %}<|user|>{{ m.role }}{% if loop.last %}{{ m.content }}{% endif %}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|user|>assistant{% endif %}",
    "merging": "{% for m in messages %}<|user|>{{ m.role }}: th{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|user|>assistant: th{% endif %}",
    "thinking": "{% for m in messages %}<|user|>{{ m.role }}\n{{ m.content.split('</think>')[-1] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|user|>assistant\n{% endif %}",
}


@pytest.mark.parametrize("template", TEMPLATES, ids=str)
def test_any_template_teaches_each_reply_once_behind_its_own_prompt(template: str, tokenizer: Tokenizer) -> None:
    """Also one that forgets, so that no row can hold two replies; and one whose prompt grows together with them."""
    tokenizer = with_template(tokenizer, TEMPLATES[template])
    task = task_for(tokenizer, 200)
    whole = chat("it moved", "e cat sat", "then", "e dog sat on the mat")
    rows = task.rows([whole], 200)
    assert len(rows) == (2 if template in ("forgetful", "merging") else 1)
    runs = [run for row in reversed(learnt(rows)) for run in row]
    for (before, said), place in zip(runs, whole.replies, strict=True):
        assert before == tokenizer.apply_chat_template(
            [{"role": turn.role, "content": turn.content} for turn in whole.turns[:place]]
        )
        assert tokenizer.decode(said, skip_special=False).strip() == f"{whole.turns[place].content}<|end|>"


@pytest.mark.parametrize("template", ["", *TEMPLATES], ids=str)
@pytest.mark.parametrize("context", [26, 60, 300])
def test_what_is_put_together_is_what_the_template_would_write(
    template: str, context: int, tokenizer: Tokenizer
) -> None:
    """The quick way gives the rows of the slow one, which renders every prompt."""
    task = task_for(with_template(tokenizer, TEMPLATES[template]) if template else tokenizer, context)
    drawn = np.random.default_rng(3)
    for number in range(6):
        said = [
            *drawn.choice(
                [*TALK, "猫", "<|end|>", "x", "<b>a</b> < c", "<think>x</think>it"], int(drawn.integers(2, 14))
            )
        ]
        whole = chat(*said, system="quiet" if number % 2 else "")
        task.writer.gaps.is_steady = False
        slow = list(task.writer.rows(whole.turns, context, whole.replies))
        task.writer.gaps = Gaps(task.tokenizer)
        assert list(task.writer.rows(whole.turns, context, whole.replies)) == slow


def test_code_and_tables_are_put_together_and_what_a_template_may_read_is_not(tokenizer: Tokenizer) -> None:
    writer = task_for(with_template(tokenizer, TEMPLATES["thinking"])).writer
    assert writer._parts(chat("<b>a</b>", "if a < b: return <table>").turns) is not None
    assert writer._parts(chat("then?", "<think>x</think>it").turns) is None


def test_a_long_conversation_is_cut_at_its_front_and_each_reply_is_still_learnt_once(tokenizer: Tokenizer) -> None:
    task = task_for(tokenizer, 40)
    whole = chat(*TALK, *TALK, system="quiet")
    rows = task.rows([whole], 40)
    assert len(rows) > 1
    assert rows.inputs.sizes.max() < 40
    found = [run for row in learnt(rows) for run in row]
    end = tokenizer.special_tokens["<|end|>"]
    assert sorted(said for _, said in found) == sorted([*tokenizer.encode(text), end] for text in [*TALK[1::2]] * 2)
    head = [
        tokenizer.special_tokens["<|system|>"],
        *tokenizer.encode("quiet"),
        end,
        tokenizer.special_tokens["<|user|>"],
    ]
    assert all(before[: len(head)] == head for before, _ in found)
    assert "1 of 1 conversations are longer than train.context: later turns do not see the first ones" in rows.notes[0]


def test_what_is_asked_of_a_long_conversation_keeps_whole_turns_and_room_for_the_answer(tokenizer: Tokenizer) -> None:
    task = task_for(tokenizer, 40, max_reply_tokens=8)
    whole = chat(*TALK, "did it sleep?", system="quiet")
    (ids,) = task.prompts([whole], 40)
    assert len(ids) <= 32
    shorter = [replace(whole, turns=(whole.turns[0], *whole.turns[start:])) for start in range(1, 10, 2)]
    asked = [task.writer.prompt(each.turns, 10_000) for each in shorter]
    assert ids == max((each for each in asked if len(each) <= 32), key=len)
    (long,) = task.prompts([chat("the mat " * 60)], 40)
    assert len(long) <= 32
    assert long[-1] == tokenizer.special_tokens["<|assistant|>"]


def test_a_reply_that_is_too_long_loses_its_end_and_one_without_room_is_left_out(tokenizer: Tokenizer) -> None:
    task = task_for(tokenizer, 24)
    rows = task.rows(
        [chat("the cat?", "the dog sat on the mat. " * 8), chat("the mat " * 30, "it sat."), chat("a")], 24
    )
    (runs,) = learnt(rows)
    assert len(rows.inputs[0]) == 23
    assert runs[0][1][-1] != tokenizer.special_tokens["<|end|>"]
    assert rows.sizes is not None
    assert rows.sizes.tolist() == [len(tokenizer.decode(runs[0][1]).encode())]
    assert [note.partition("assistant")[0] for note in rows.notes] == [
        "1 of the ",
        "1 of the ",
        "1 of 3 conversations have no turn of the ",
    ]


def test_what_a_template_refuses_is_counted_with_its_first_reason(tokenizer: Tokenizer) -> None:
    template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATES["chatml"]
    )
    task = task_for(with_template(tokenizer, template))
    good, bad = chat(*TALK[:2]), chat(*TALK[:2], system="quiet", id="a:2")
    rows = task.rows([good, bad], CONTEXT)
    assert len(rows) == 1
    assert "1 of 2 conversations are refused and left out; the first: a:2: the chat template refuses" in rows.notes[-1]
    with pytest.raises(DataError, match="a:2: the chat template refuses these messages: no system"):
        task.prompts([bad], CONTEXT)
    with pytest.raises(DataError, match="no turn of an assistant to learn from; nobody answers"):
        task.rows([chat("a")], CONTEXT)


def test_a_template_that_ends_no_turn_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(ConfigError, match="writes no special token behind an answer, so a model could not learn where"):
        task_for(with_template(tokenizer, "{% for m in messages %}{{ m.content }}\n{% endfor %}"))


def test_a_vocabulary_without_role_tokens_writes_roles_as_words(new_tokenizer: NewTokenizer) -> None:
    task = task_for(new_tokenizer())
    (runs,) = learnt(task.rows([chat(*TALK[:4])], 200))
    said = [task.tokenizer.decode(ids, skip_special=False) for pair in runs[1:] for ids in pair]
    assert said == [
        "User:\nthe cat?<|endoftext|>Assistant:\nit sat.<|endoftext|>User:\nthe dog?<|endoftext|>Assistant:\n",
        "it didn't.<|endoftext|>",
    ]


def test_text_that_looks_like_a_role_is_text(tokenizer: Tokenizer, task: Dialogue) -> None:
    (runs,) = learnt(task.rows([chat("<|end|><|assistant|>yes<|end|>", "it sat.")], CONTEXT))
    special = [tokenizer.special_tokens[name] for name in ("<|user|>", "<|end|>", "<|assistant|>")]
    assert [token for token in runs[0][0] if token in tokenizer.special_tokens.values()] == special


def test_a_record_is_asked_for_its_last_reply_or_for_the_next(task: Dialogue) -> None:
    turns = [{"from": "human", "value": " a "}, {"from": "gpt", "value": "b"}]
    whole = Dialogue.example_of(Record("a\nb", "a:1", {"messages": json.dumps(turns)}), task.config)
    assert (whole.history, whole.reply) == ((Turn("user", "a"),), "b")
    alone = Dialogue.example_of(Record(" a ", "a:1"), task.config)
    assert (alone.history, alone.reply) == ((Turn("user", "a"),), None)
    with pytest.raises(DataError, match=r"a:7: turn 1: the role \"bot\" is unknown"):
        Dialogue.example_of(Record("a", "a:7", {"messages": '[{"role": "bot", "content": "a"}]'}), task.config)
    with pytest.raises(DataError, match="a:1: no reply to compare with"):
        task.judged([alone], [task.written([5])])


def test_a_turn_of_each_conversation_is_drawn_for_judging(task: Dialogue) -> None:
    chats = [chat(*TALK, id=str(number)) for number in range(40)] + [chat("a")]
    drawn = task.drawn(chats, None, seed=0)
    assert [given.place for given in drawn] == list(range(40))
    assert {given.example.asked for given in drawn} == {1, 3, 5, 7}
    assert drawn == task.drawn(chats, None, seed=0)
    some = task.drawn(chats, 10, seed=0)
    assert len({given.place for given in some}) == 10


def test_settings_come_of_the_training_part() -> None:
    config = read_settings("dialogue")
    chinese = config.learnt([chat("你好", "你好，很高兴见到你。")])  # type: ignore[attr-defined]
    assert chinese.language == "zh"
    with pytest.raises(DataError, match=r"data\.train: none of 1 conversations has a turn of the assistant"):
        config.learnt([chat("a")])  # type: ignore[attr-defined]
    assert math.isclose(chinese.made_for(family("llama"), 50).trained_context, 50)


def test_a_tokenizer_learns_from_what_is_said_and_not_from_how_it_is_kept() -> None:
    record = Record(
        "x", "a:1", {"messages": '[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]'}
    )
    assert [*read_settings("dialogue").texts_of(record)] == ["hi", "ho"]  # type: ignore[attr-defined]
