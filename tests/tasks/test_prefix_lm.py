"""A prefix is read from both sides, what follows from the left, and the loss is of what follows alone."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.tiny import NewData, NewTokenizer, settings, tiny_model

from wenlu.corpus.packing import PADDING
from wenlu.corpus.passages import Passages
from wenlu.models import FAMILIES, Family, LanguageModel, family
from wenlu.tasks import IGNORED, Draw, PrefixLM, new_task
from wenlu.tokenizers import Tokenizer

DECODERS = [row for row in FAMILIES if settings("prefix-lm").accepts(row)]
LENGTH, PREFIX = 9, 4
SIZES: dict[str, Any] = {
    "vocab_size": 29,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "head_dim": 8,
    "initializer_range": 0.3,
}


def tiny(row: Family) -> LanguageModel:
    torch.manual_seed(0)
    known = {*row.config.model_fields, *(field.alias for field in row.config.model_fields.values() if field.alias)}
    return row.build(row.config(**{k: v for k, v in SIZES.items() if k in known}), dtype=torch.float64).eval()


def sees(prefix: int) -> torch.Tensor:
    mask = torch.ones(LENGTH, LENGTH).tril()
    mask[:, :prefix] = 1
    return mask[None]


def changed(model: LanguageModel, mask: torch.Tensor, place: int) -> list[int]:
    """Where the logits differ when another token stands at `place`."""
    ids = torch.arange(1, LENGTH + 1)[None]
    other = ids.clone()
    other[0, place] = 28
    with torch.no_grad():
        difference = (model(ids, attention_mask=mask) - model(other, attention_mask=mask)).abs().amax(-1)[0]
    return (difference > 1e-9).nonzero().flatten().tolist()


@pytest.mark.parametrize("row", DECODERS, ids=attrgetter("name"))
def test_each_token_reaches_whom_the_mask_lets_see_it(row: Family) -> None:
    model = tiny(row)
    for place in range(LENGTH):
        expected = list(range(LENGTH)) if place < PREFIX else list(range(place, LENGTH))
        assert changed(model, sees(PREFIX), place) == expected


@pytest.mark.parametrize("row", DECODERS, ids=attrgetter("name"))
def test_a_lower_triangle_is_the_plain_call(row: Family) -> None:
    model = tiny(row)
    ids = torch.arange(1, LENGTH + 1)[None]
    torch.testing.assert_close(model(ids, attention_mask=sees(0)), model(ids))


def test_documents_stay_apart_under_such_a_mask() -> None:
    model = tiny(family("llama"))
    ids = torch.arange(1, LENGTH + 1)[None]
    segments = torch.tensor([[0] * 5 + [1] * 4])
    both = model(ids, attention_mask=sees(LENGTH), segments=segments)
    everything = torch.ones(1, 5, 5)
    torch.testing.assert_close(both[:, :5], model(ids[:, :5], attention_mask=everything))


def test_a_window_bounds_how_far_back_such_a_mask_lets_see() -> None:
    chosen = family("mistral")
    torch.manual_seed(0)
    model = chosen.build(
        chosen.config(**{**SIZES, "num_hidden_layers": 1, "sliding_window": 3}), dtype=torch.float64
    ).eval()
    assert changed(model, sees(PREFIX), 3) == [0, 1, 2, 3, 4, 5]
    assert changed(model, sees(PREFIX), 5) == [5, 6, 7]


def test_an_encoder_reads_in_the_order_that_it_is_told() -> None:
    bert = tiny(family("bert"))
    assert changed(bert, sees(0), 6) == [6, 7, 8]
    assert changed(bert, torch.ones(1, LENGTH, LENGTH), 6) == list(range(LENGTH))


def test_a_state_and_a_recurrent_family_refuse_it() -> None:
    llama = tiny(family("llama"))
    with pytest.raises(ValueError, match=r"with a state, attention_mask is \(B, T\)"):
        llama(torch.ones(1, LENGTH, dtype=torch.int64), attention_mask=sees(2), state=llama.init_state())
    with pytest.raises(AssertionError, match="has no attention to mask"):
        tiny(family("gru"))(torch.ones(1, LENGTH, dtype=torch.int64), attention_mask=sees(2))


@pytest.fixture
def tokenizer(new_tokenizer: NewTokenizer) -> Tokenizer:
    return new_tokenizer()


@pytest.fixture
def source(tokenizer: Tokenizer, new_data: NewData) -> Passages:
    return Passages(new_data(tokenizer), 31, least=4)


def prefix_lm(tokenizer: Tokenizer, **own: object) -> PrefixLM:
    task = new_task(settings("prefix-lm", **own), tokenizer)
    assert isinstance(task, PrefixLM)
    return task


def test_targets_are_what_follows_the_prefix(tokenizer: Tokenizer, source: Passages) -> None:
    draw = Draw.at(source, np.arange(len(source)))
    batch = prefix_lm(tokenizer).batch(draw)
    assert batch.attention_mask is not None
    shares = []
    for row in range(len(source)):
        passage = draw.rows.ids[row][draw.rows.segments[row] != PADDING].tolist()
        assert batch.input_ids[row, 0] == tokenizer.bos_id
        assert batch.input_ids[row, 1 : len(passage) + 1].tolist() == passage
        asked = (batch.targets[row] != IGNORED).nonzero().flatten().tolist()
        prefix = asked[0] + 1  # with the begin token
        assert asked == list(range(prefix - 1, len(passage)))
        assert batch.targets[row][asked].tolist() == passage[prefix - 1 :]
        wide = torch.ones(32, 32, dtype=torch.int64).tril()
        wide[:, :prefix] = 1
        assert torch.equal(batch.attention_mask[row], wide)
        shares.append((prefix - 1) / len(passage))
    assert min(shares) >= 0.05
    assert max(shares) <= 0.95
    assert np.std(shares) > 0.15


def test_the_loss_is_the_summed_cross_entropy_behind_the_prefix(tokenizer: Tokenizer, source: Passages) -> None:
    task = prefix_lm(tokenizer, least=0.5, most=0.5)
    batch = task.batch(Draw.at(source, np.array([0])))
    model = tiny_model(task.config, tokenizer.vocab_size).eval()
    passage = source.rows(np.array([0])).ids[0]
    prefix = 1 + round(0.5 * 31)
    with torch.no_grad():
        loss = task.loss(model, batch)
        logits = torch.log_softmax(model(batch.input_ids, attention_mask=batch.attention_mask), -1)[0]
    by_hand = -sum(logits[place, passage[place]].item() for place in range(prefix - 1, 31))
    assert loss.count == 31 - prefix + 1
    assert loss.tokens == 32
    assert loss.sum.item() == pytest.approx(by_hand, rel=1e-12)


def test_bounds_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"least \(0.5\) is greater than most \(0.2\)"):
        settings("prefix-lm", least=0.5, most=0.2)
