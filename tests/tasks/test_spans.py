"""Gaps of T5 and UL2, noise of BART: what can be put together again, how much is taken out, what the loss is."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.tasks.tiny import ENGLISH, NewData, NewTokenizer, settings, tiny_model

from wenlu.corpus.packing import Ids
from wenlu.corpus.passages import Passages
from wenlu.tasks import IGNORED, Denoising, Draw, SpanCorruption, new_task
from wenlu.tasks.span_corruption import UL2, parted
from wenlu.tokenizers import Tokenizer


def span_corruption(new_tokenizer: NewTokenizer, **own: object) -> SpanCorruption:
    config = settings("span-corruption", **own)
    task = new_task(config, new_tokenizer(special=config.special_tokens))
    assert isinstance(task, SpanCorruption)
    return task


def denoising(tokenizer: Tokenizer, **own: object) -> Denoising:
    task = new_task(settings("denoising", **own), tokenizer)
    assert isinstance(task, Denoising)
    return task


def rebuilt(source: Ids, target: Ids, task: SpanCorruption) -> list[int]:
    """The text, from the source with each sentinel replaced by what the target says behind it."""
    sentinels = set(task.sentinels.tolist())
    gaps: dict[int, list[int]] = {}
    for token in target.tolist():
        if token in sentinels:
            gaps[token] = []
            last = token
        else:
            gaps[last].append(token)
    filled: list[int] = []
    for token in source.tolist():
        if token not in task.modes.values():
            filled += gaps.pop(token) if token in sentinels else [token]
    assert not gaps, "each sentinel of the target stands in the source once"
    return filled


@pytest.mark.parametrize("mixture", ["single", "ul2"])
def test_source_and_target_give_the_text_back(mixture: str, new_tokenizer: NewTokenizer) -> None:
    task = span_corruption(new_tokenizer, mixture=mixture, sentinels=30)
    for seed in range(300):
        rng = np.random.default_rng(seed)
        ids = rng.choice(np.arange(40, 300), int(rng.integers(4, 120)))
        source, target = task.noised(ids, rng)
        assert rebuilt(source, target, task) == ids.tolist()


def test_gaps_take_out_the_rate_and_are_as_long_as_said_on_average(new_tokenizer: NewTokenizer) -> None:
    task = span_corruption(new_tokenizer)
    ids = np.arange(150, 350)
    gaps: list[int] = []
    for seed in range(300):
        source, target = task.noised(ids, np.random.default_rng(seed))
        of_row = int(np.isin(source, task.sentinels).sum())
        assert of_row == 10
        assert len(target) - of_row == 30
        starts = np.flatnonzero(np.isin(target, task.sentinels))
        assert target[starts].tolist() == task.sentinels[:10].tolist()
        gaps += (np.diff([*starts, len(target)]) - 1).tolist()
        assert not np.isin(source[0], task.sentinels)
    assert np.mean(gaps) == 3.0
    assert len(set(gaps)) > 5


@given(st.integers(1, 60), st.data())
def test_a_length_is_parted_into_lengths_of_at_least_one(length: int, data: st.DataObject) -> None:
    parts = data.draw(st.integers(1, length))
    found = parted(length, parts, np.random.default_rng(length))
    assert len(found) == parts
    assert min(found) >= 1
    assert sum(found) == length


def test_every_way_to_part_a_length_is_equally_likely() -> None:
    rng = np.random.default_rng(0)
    counts = Counter(tuple(parted(5, 3, rng)) for _ in range(6000))
    assert len(counts) == 6
    assert max(counts.values()) - min(counts.values()) < 250  # eight standard deviations of 29


def test_ul2_mixes_its_denoisers_and_names_them(new_tokenizer: NewTokenizer) -> None:
    task = span_corruption(new_tokenizer, mixture="ul2", sentinels=60)
    ids = np.arange(100, 300)
    kinds: Counter[tuple[str, int, int]] = Counter()
    names = {number: mode for mode, number in task.modes.items()}
    for seed in range(1400):
        source, target = task.noised(ids, np.random.default_rng(seed))
        gaps = int(np.isin(target, task.sentinels).sum())
        kinds[names[int(source[0])], len(target) - gaps, gaps] += 1
        if names[int(source[0])] == "[S]":
            assert source[1:-1].tolist() == ids[:150].tolist()
            assert target[1:].tolist() == ids[150:].tolist()
    expected = {
        (
            each.mode,
            round(200 * each.rate),
            1 if each.mean_span is None else round(200 * each.rate / each.mean_span) or 1,
        )
        for each in UL2
    }
    assert set(kinds) == expected
    assert min(kinds.values()) > 140  # of 200 expected each
    assert [token for token in task.config.special_tokens if token.startswith("[")] == ["[R]", "[S]", "[X]"]


def test_what_a_decoder_reads_is_its_target_one_place_later(new_tokenizer: NewTokenizer, new_data: NewData) -> None:
    task = span_corruption(new_tokenizer, sentinels=10)
    source = Passages(new_data(task.tokenizer), 30, least=4)
    batch = task.batch(Draw.at(source, np.arange(len(source))))
    end = task.tokenizer.eos_id
    assert batch.decoder_input_ids is not None
    assert batch.attention_mask is not None
    assert (batch.decoder_input_ids[:, 0] == end).all()
    for read, asked, ids, mask in zip(
        batch.decoder_input_ids, batch.targets, batch.input_ids, batch.attention_mask, strict=True
    ):
        size = int((asked != IGNORED).sum())
        assert asked[size - 1] == end
        assert torch.equal(read[1:size], asked[: size - 1])
        assert ids[int(mask.sum()) - 1] == end


@pytest.mark.parametrize("name", ["span-corruption", "denoising"])
def test_the_loss_is_the_summed_cross_entropy_of_the_target(
    name: str, new_tokenizer: NewTokenizer, new_data: NewData
) -> None:
    config = settings(name, **({"sentinels": 10} if name == "span-corruption" else {}))
    tokenizer = new_tokenizer(special=config.special_tokens)
    task = new_task(config, tokenizer)
    source = Passages(new_data(tokenizer), 30, least=4)
    batch = task.batch(Draw.at(source, np.array([0, 3, 1])))
    model = tiny_model(config, tokenizer.vocab_size).eval()
    with torch.no_grad():
        loss = task.loss(model, batch)
        logits = model(
            batch.input_ids, decoder_input_ids=batch.decoder_input_ids, attention_mask=batch.attention_mask
        ).log_softmax(-1)
    asked = (batch.targets != IGNORED).nonzero().tolist()
    by_hand = -sum(logits[row, place, batch.targets[row, place]].item() for row, place in asked)
    assert loss.sum.item() == pytest.approx(by_hand, rel=1e-12)
    assert loss.count == len(asked) == sum(part.count for part in loss.parts.values())
    if name == "span-corruption":  # sentinels and the end are scored apart
        special = [batch.targets[row, place].item() in tokenizer.special_tokens.values() for row, place in asked]
        assert loss.parts["sentinels"].count == sum(special)
    read = batch.input_ids.numel() if batch.attention_mask is None else int(batch.attention_mask.sum())
    assert loss.tokens == read + len(asked)


@pytest.fixture
def tokenizer(new_tokenizer: NewTokenizer) -> Tokenizer:
    return new_tokenizer(special=["[MASK]"])


def test_denoising_takes_out_the_rate_in_spans_of_a_poisson_distribution(tokenizer: Tokenizer) -> None:
    task = denoising(tokenizer, permute_sentences=False)
    ids = np.arange(100, 300)
    masks: list[int] = []
    for seed in range(300):
        source, target = task.noised(ids, np.random.default_rng(seed))
        assert target.tolist() == ids.tolist()
        assert len(source) <= len(ids)
        is_mask = source == task.mask_id
        kept = source[~is_mask]
        assert len(kept) == 140  # 30 % of 200 are gone
        assert (np.diff(kept) > 0).all()  # the others stand in their order
        assert not (is_mask[1:] & is_mask[:-1]).any()
        around = np.concatenate([[99], source, [300]])
        places = np.flatnonzero(around == task.mask_id)
        masks += (around[places + 1] - around[places - 1] - 1).tolist()
    share_of_none = np.mean(np.array(masks) == 0)
    assert np.mean(masks) == pytest.approx(3.0, rel=0.05)
    assert share_of_none == pytest.approx(np.exp(-3), rel=0.25)
    assert np.var(masks) == pytest.approx(3.0, rel=0.15)


def test_denoising_puts_whole_sentences_in_another_order(tokenizer: Tokenizer) -> None:
    task = denoising(tokenizer)
    ids = np.array(tokenizer.encode(ENGLISH[0]))
    ends = np.flatnonzero(task.vocabulary.ends_sentence[ids]) + 1
    sentences = [part.tolist() for part in np.split(ids, ends) if len(part)]
    assert [tokenizer.decode(sentence)[-1] for sentence in sentences] == [".", ".", "\n"]
    seen = set()
    for seed in range(80):
        found = task.permuted(ids, np.random.default_rng(seed)).tolist()
        order = []
        while found:
            order.append(next(i for i, sentence in enumerate(sentences) if found[: len(sentence)] == sentence))
            found = found[len(sentences[order[-1]]) :]
        assert sorted(order) == [0, 1, 2]
        seen.add(tuple(order))
    assert len(seen) == 6


def test_the_shortest_passages_survive(tokenizer: Tokenizer, new_tokenizer: NewTokenizer) -> None:
    for length in range(4, 9):
        for seed in range(50):
            ids = np.arange(100, 100 + length)
            source, _ = denoising(tokenizer, rate=0.9).noised(ids, np.random.default_rng(seed))
            assert 0 < len(source) <= length
            task = span_corruption(new_tokenizer, rate=0.9, mean_span=1, sentinels=5)
            assert rebuilt(*task.noised(ids, np.random.default_rng(seed)), task) == ids.tolist()
