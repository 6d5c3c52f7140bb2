"""Several conversations in a row are learnt as if each stood alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from tests.tasks.test_dialogue import CONTEXT, TALK, chat, learnt, task_for, tiny
from tests.tasks.tiny import NewTokenizer

from wenlu.corpus.packing import PADDING
from wenlu.tasks import Dialogue, Draw
from wenlu.tasks.dialogues.chat import Chat
from wenlu.tasks.dialogues.packed import PackedRows
from wenlu.tasks.labelled.generative import WrittenRows
from wenlu.tokenizers import ROLE_TOKENS, Tokenizer

CHATS = [chat(*TALK[: 2 + 2 * (number % 3)], id=f"a:{number}") for number in range(7)]


@pytest.fixture
def tokenizer(new_tokenizer: NewTokenizer) -> Tokenizer:
    return new_tokenizer(special=ROLE_TOKENS)


def drawn(source: WrittenRows, **facts: bool) -> Draw:
    return Draw.at(source, np.arange(len(source)), **facts)


@pytest.mark.parametrize("name", ["llama", "gpt2", "lstm"])
def test_the_loss_of_packed_conversations_is_that_of_each_alone(name: str, tokenizer: Tokenizer) -> None:
    apart, together = task_for(tokenizer), task_for(tokenizer, packing=True)
    model = tiny(tokenizer, name).float()
    rows = together.rows(CHATS, CONTEXT)
    with torch.no_grad():
        whole = together.loss(model, together.batch(drawn(rows)))
        alone = [apart.loss(model, apart.batch(drawn(apart.rows([each], CONTEXT)))) for each in CHATS]
        crossing = together.loss(model, together.batch(drawn(rows, separate_documents=False)))
    assert whole.count == crossing.count == sum(loss.count for loss in alone)
    assert whole.sum.item() == pytest.approx(sum(loss.sum.item() for loss in alone), rel=1e-5)
    assert crossing.sum.item() != pytest.approx(whole.sum.item(), rel=3e-5)


def test_gradients_of_packed_conversations_are_those_of_each_alone(tokenizer: Tokenizer) -> None:
    found = []
    for packing in (False, True):
        task, model = task_for(tokenizer, packing=packing), tiny(tokenizer)
        torch.autograd.backward(task.loss(model, task.batch(drawn(task.rows(CHATS, CONTEXT)))).sum)
        found.append([weight.grad for weight in model.parameters()])
    torch.testing.assert_close(found[1], found[0], rtol=1e-8, atol=1e-10)


def test_the_mask_survives_packing_and_each_conversation_stands_in_one_row(tokenizer: Tokenizer) -> None:
    apart, rows = task_for(tokenizer).rows(CHATS, CONTEXT), task_for(tokenizer, packing=True).rows(CHATS, CONTEXT)
    assert isinstance(rows, PackedRows)
    assert len(rows) < len(apart)
    assert rows.inputs.sizes.max() <= CONTEXT

    def stretches(source: WrittenRows) -> Counter[tuple[int, ...]]:
        return Counter(tuple(run) for runs in learnt(source) for _, run in runs)

    assert stretches(rows) == stretches(apart)
    assert apart.sizes is not None
    assert rows.sizes is not None
    assert rows.sizes.sum() == apart.sizes.sum()
    found = Counter(
        tuple(rows.inputs[number][rows.segments[number] == segment].tolist())
        for number in range(len(rows))
        for segment in range(rows.segments[number].max() + 1)
    )
    assert apart.targets is not None
    assert found == Counter(
        (*apart.inputs[number].tolist(), int(apart.targets[number][-1])) for number in range(len(apart))
    )
    used = rows.inputs.sizes.sum() / (len(rows) * CONTEXT)
    assert rows.utilisation == pytest.approx(used)


def test_padding_is_a_document_of_its_own(tokenizer: Tokenizer) -> None:
    task = task_for(tokenizer, packing=True)
    source = task.rows(CHATS, CONTEXT)
    draw = drawn(source)
    segments = task.batch(draw).segments
    assert segments is not None
    assert (segments.diff(dim=1) >= 0).all()
    padding = torch.from_numpy(draw.rows.segments == PADDING)
    assert not set(segments[padding].tolist()) & set(segments[~padding].tolist())


def test_what_is_measured_does_not_know_of_packing(tokenizer: Tokenizer) -> None:
    model = tiny(tokenizer)
    apart, together = (task_for(tokenizer, packing=packing) for packing in (False, True))
    assert together.likelihoods(model, CHATS, CONTEXT) == apart.likelihoods(model, CHATS, CONTEXT)


def test_of_completions_the_last_reply_alone_is_learnt(tokenizer: Tokenizer) -> None:
    task: Dialogue = task_for(tokenizer, loss_on="completion")
    (runs,) = learnt(task.rows([chat(*TALK[:6])], CONTEXT))
    ((_, said),) = runs
    assert tokenizer.decode(said[:-1]) == TALK[5]
    assert said[-1] == task.end_id
    assert task.all_targets([chat(*TALK[:6])]) == [TALK[5]]
    unanswered = Chat.of(chat(*TALK[:5]).turns)
    ((_, before),) = learnt(task.rows([unanswered], CONTEXT))[0]
    assert tokenizer.decode(before[:-1]) == TALK[3]
