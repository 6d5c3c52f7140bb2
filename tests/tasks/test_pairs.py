"""Pairs of texts: which follow each other, how they are laid into a row, and what the loss makes of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from tests.tasks.tiny import CHINESE, ENGLISH, NewData, NewTokenizer, settings, tiny_model

from wenlu.corpus.passages import Passages
from wenlu.errors import DataError
from wenlu.models.bert import Bert
from wenlu.tasks import IGNORED, Draw, new_task
from wenlu.tasks.corruption.pairs import Pairs
from wenlu.tokenizers import Tokenizer

SPECIAL = ("[CLS]", "[SEP]", "[MASK]")
both = pytest.mark.parametrize("name", ["next-sentence", "sentence-order"])


def pairs_task(name: str, tokenizer: Tokenizer, **own: object) -> Pairs:
    task = new_task(settings(name, **own), tokenizer)
    assert isinstance(task, Pairs)
    return task


def whole(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """What stood there before some of it was hidden."""
    return torch.where(targets == IGNORED, inputs, targets)


def parts(row: list[int], task: Pairs) -> list[list[int]]:
    ends = [place for place, token in enumerate(row) if token in (task.cls_id, task.sep_id)]
    return [row[start + 1 : stop] for start, stop in pairwise(ends)]


@both
def test_a_pair_is_what_its_label_says(name: str, new_tokenizer: NewTokenizer, new_data: NewData) -> None:
    tokenizer = new_tokenizer(special=SPECIAL)
    source = Passages(new_data(tokenizer), 45, least=8)
    task = pairs_task(name, tokenizer)
    labels = []
    for epoch in range(10):
        numbers = np.arange(len(source)) + epoch * len(source)
        batch = task.batch(Draw.at(source, np.arange(len(source)), numbers))
        assert batch.labels is not None
        assert batch.attention_mask is not None
        labels += batch.labels.tolist()
        rows = whole(batch.input_ids, batch.targets)
        for place, (row, label, size) in enumerate(
            zip(rows.tolist(), batch.labels.tolist(), batch.attention_mask.sum(1).tolist(), strict=True)
        ):
            row = row[:size]
            assert (row[0], row[-1]) == (task.cls_id, task.sep_id)
            first, second = parts(row, task)
            packed = source.rows(np.array([place]))
            passage = packed.ids[packed.segments >= 0].tolist()
            if name == "sentence-order":
                assert (second + first if label else first + second) == passage
            elif not label:
                assert first + second == passage
            else:
                assert passage[: len(first)] == first
                assert len(first) + len(second) <= len(passage)
    share = float(np.mean(labels))
    assert abs(share - 0.5) < 5 * 0.5 / len(labels) ** 0.5


def test_a_random_second_text_is_of_another_document(new_tokenizer: NewTokenizer, new_data: NewData) -> None:
    """Each document has tokens of its own, so where a text is from can be told."""
    texts = [letter * 60 for letter in "abcdefgh"]
    tokenizer = new_tokenizer(texts, kind="char", vocab_size="auto", special=SPECIAL)
    source = Passages(new_data(tokenizer, texts), 30, least=8)
    task = pairs_task("next-sentence", tokenizer)
    batch = task.batch(Draw.at(source, np.arange(len(source))))
    assert batch.labels is not None
    sizes = []
    for row, label in zip(whole(batch.input_ids, batch.targets).tolist(), batch.labels.tolist(), strict=True):
        first, second = parts(row, task)
        assert (set(first) == set(second)) == (label == 0)
        sizes.append((label, len(first) + len(second)))
    assert {size for _, size in sizes} == {30}  # the length does not tell the label


@both
def test_texts_part_between_sentences(name: str, new_tokenizer: NewTokenizer, new_data: NewData) -> None:
    tokenizer = new_tokenizer(CHINESE, kind="char", vocab_size="auto", min_frequency=1, special=SPECIAL)
    source = Passages(new_data(tokenizer, CHINESE), 60, least=8)
    task = pairs_task(name, tokenizer)
    batch = task.batch(Draw.at(source, np.arange(len(source))))
    assert batch.labels is not None
    ends = {tokenizer.encode(mark)[0] for mark in "。！"}
    for row, label in zip(whole(batch.input_ids, batch.targets).tolist(), batch.labels.tolist(), strict=True):
        first, second = parts(row, task)
        assert (second if label and name == "sentence-order" else first)[-1] in ends


@both
def test_token_types_tell_the_texts_apart_and_special_tokens_are_never_hidden(
    name: str, new_tokenizer: NewTokenizer, new_data: NewData
) -> None:
    tokenizer = new_tokenizer(special=SPECIAL)
    source = Passages(new_data(tokenizer), 45, least=8)
    task = pairs_task(name, tokenizer)
    batch = task.batch(Draw.at(source, np.arange(16)))
    assert batch.token_types is not None
    for inputs, targets, types in zip(batch.input_ids, batch.targets, batch.token_types, strict=True):
        first_end = inputs.tolist().index(task.sep_id)
        second_end = inputs.tolist().index(task.sep_id, first_end + 1)
        expected = [0] * (first_end + 1) + [1] * (second_end - first_end) + [0] * (len(types) - second_end - 1)
        assert types.tolist() == expected
        assert targets[[0, first_end, second_end]].tolist() == [IGNORED] * 3
        assert not set(targets.tolist()) & {task.cls_id, task.sep_id, task.masking.mask_id}


@both
def test_the_loss_is_the_sum_over_hidden_tokens_and_the_weighted_sum_over_pairs(
    name: str, new_tokenizer: NewTokenizer, new_data: NewData
) -> None:
    tokenizer = new_tokenizer(special=SPECIAL)
    source = Passages(new_data(tokenizer), 45, least=8)
    task = pairs_task(name, tokenizer, label_weight=7.0)
    batch = task.batch(Draw.at(source, np.array([2, 5])))
    assert batch.labels is not None
    model = tiny_model(task.config, tokenizer.vocab_size).eval()
    assert isinstance(model, Bert)
    with torch.no_grad():
        loss = task.loss(model, batch)
        hidden = model.hidden(batch.input_ids, attention_mask=batch.attention_mask, token_types=batch.token_types)
        tokens = torch.log_softmax(model.lm_head(hidden), -1)
        follows = torch.log_softmax(model.sentence_logits(hidden, batch.attention_mask), -1)
    asked = (batch.targets != IGNORED).nonzero().tolist()
    hidden_tokens = -sum(tokens[row, place, batch.targets[row, place]].item() for row, place in asked)
    pairs = -sum(follows[row, label].item() for row, label in enumerate(batch.labels.tolist()))
    assert loss.sum.item() == pytest.approx(hidden_tokens + 7.0 * pairs, rel=1e-12)
    assert loss.count == len(asked)
    assert (loss.parts["masked-lm"].sum, loss.parts["masked-lm"].count) == (pytest.approx(hidden_tokens), len(asked))
    assert (loss.parts[name].sum, loss.parts[name].count) == (pytest.approx(pairs), 2)


def test_one_document_has_no_others(new_tokenizer: NewTokenizer, new_data: NewData) -> None:
    tokenizer = new_tokenizer(special=SPECIAL)
    source = Passages(new_data(tokenizer, [" ".join(ENGLISH)]), 45, least=8)
    with pytest.raises(DataError, match=r'holds one document only, .* or use task\.name="sentence-order"'):
        pairs_task("next-sentence", tokenizer).batch(Draw.at(source, np.arange(10)))
