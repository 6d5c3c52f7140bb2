"""What is hidden from a masked language model: how much, in which words, and what stands there instead."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from tests.tasks.tiny import CHINESE, ENGLISH, NewData, NewTokenizer, settings, tiny_model

from wenlu.corpus.packing import PackedRow, Windows
from wenlu.corpus.passages import Passages
from wenlu.errors import ConfigError
from wenlu.tasks import IGNORED, Draw, MaskedLM, new_task
from wenlu.tasks.corruption.vocabulary import Vocabulary
from wenlu.tasks.corruption.whole_words import Segmentation, word_numbers
from wenlu.tokenizers import Tokenizer


def masked_lm(tokenizer: Tokenizer, **own: object) -> MaskedLM:
    task = new_task(settings("masked-lm", **own), tokenizer)
    assert isinstance(task, MaskedLM)
    return task


def words(text: str, tokenizer: Tokenizer, segmentation: Segmentation = "rjieba") -> list[str]:
    ids = np.array(tokenizer.encode(text))
    numbers = word_numbers(ids, Vocabulary(tokenizer), segmentation)
    return [tokenizer.decode(ids[numbers == word]).strip() for word in range(numbers.max() + 1)]


@pytest.mark.parametrize("kind", ["bpe", "unigram", "wordpiece"])
def test_the_pieces_of_an_english_word_are_one_word(kind: str, new_tokenizer: NewTokenizer) -> None:
    size = {"bpe": 300, "unigram": 400, "wordpiece": 100}[kind]
    tokenizer = new_tokenizer(kind=kind, vocab_size=size, special=["[MASK]"])
    found = words("the quiet partridge didn't sit.", tokenizer)
    apostrophe = ["didn't"] if kind != "wordpiece" else ["didn", "'", "t"]
    assert [word for word in found if word] == ["the", "quiet", "partridge", *apostrophe, "sit", "."]


@pytest.mark.parametrize("kind", ["bpe", "unigram", "wordpiece", "char"])
def test_the_characters_of_a_chinese_word_are_one_word(kind: str, new_tokenizer: NewTokenizer) -> None:
    sizes = {"bpe": 259, "unigram": 360, "wordpiece": 54, "char": "auto"}
    tokenizer = new_tokenizer(CHINESE, kind=kind, vocab_size=sizes[kind], special=["[MASK]"], min_frequency=1)
    found = [word.replace(" ", "") for word in words("我们住在北京大学附近，非常热情！", tokenizer)]
    assert found == ["我们", "住", "在", "北京大学", "附近", "，", "非常", "热情", "！"]
    if kind == "char":
        found = words("北京大学附近", tokenizer, "characters")
        assert found == list("北京大学附近")


def test_special_tokens_are_no_words_and_part_what_stands_around_them(new_tokenizer: NewTokenizer) -> None:
    tokenizer = new_tokenizer(special=["[MASK]"])
    cat, end = tokenizer.encode("cat"), tokenizer.eos_id
    ids = np.array([*cat, end, *cat])
    numbers = word_numbers(ids, Vocabulary(tokenizer), "rjieba")
    assert numbers[len(cat)] == -1
    assert (numbers[: len(cat)] == 0).all()
    assert (numbers[len(cat) + 1 :] == 1).all()


def test_a_character_that_is_cut_at_the_edge_of_a_row_harms_nothing(new_tokenizer: NewTokenizer) -> None:
    tokenizer = new_tokenizer(CHINESE, vocab_size=270, special=["[MASK]"])
    ids = np.array(tokenizer.encode("我们住在北京大学"))
    numbers = word_numbers(ids[1:-1], Vocabulary(tokenizer), "rjieba")
    assert (np.diff(numbers) >= 0).all()
    assert len(numbers) == len(ids) - 2


def test_of_the_hidden_tokens_80_percent_are_masks_10_percent_others_10_percent_themselves(
    new_tokenizer: NewTokenizer, new_data: NewData
) -> None:
    tokenizer = new_tokenizer(special=["[MASK]"])
    source = Windows(new_data(tokenizer), 32)
    task = masked_lm(tokenizer, whole_words=False)
    fates: Counter[str] = Counter()
    others: Counter[int] = Counter()
    hidden = wanted = 0
    for epoch in range(60):
        numbers = np.arange(len(source)) + epoch * len(source)
        rows = source.rows(np.arange(len(source)))
        batch = task.batch(Draw(rows, numbers, source=source))
        inputs, targets = batch.input_ids.numpy(), batch.targets.numpy()
        asked = targets != IGNORED
        original = rows.ids[:, :-1]
        assert (targets[asked] == original[asked]).all()
        assert (inputs[~asked] == original[~asked]).all()
        assert not np.isin(targets[asked], list(tokenizer.special_tokens.values())).any()
        masks = asked & (inputs == task.masking.mask_id)
        same = asked & (inputs == original)
        fates.update(mask=int(masks.sum()), same=int(same.sum()), other=int((asked & ~masks & ~same).sum()))
        others.update(inputs[asked & ~masks & ~same].tolist())
        hidden += int(asked.sum())
        text = ~np.isin(original, list(tokenizer.special_tokens.values()))
        wanted += sum(round(0.15 * count) for count in text.sum(1).tolist())

    def near(count: int, share: float) -> bool:
        """Within five standard deviations of a binomial, and of a random token that is the right one by chance."""
        return abs(count / hidden - share) < 5 * math.sqrt(share * (1 - share) / hidden) + 0.1 / 300

    assert hidden > 5000
    assert near(fates["mask"], 0.8)
    assert near(fates["same"], 0.1)
    assert near(fates["other"], 0.1)
    assert hidden == wanted
    assert not set(others) & set(tokenizer.special_tokens.values())
    assert len(others) > 200  # of 318 text tokens: all over the vocabulary


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_word_is_hidden_whole_or_not_at_all(language: str, new_tokenizer: NewTokenizer, new_data: NewData) -> None:
    texts = CHINESE if language == "zh" else ENGLISH
    tokenizer = new_tokenizer(texts, vocab_size=290, special=["[MASK]"], min_frequency=1)
    vocabulary = Vocabulary(tokenizer)
    source = Windows(new_data(tokenizer, texts), 48)
    task = masked_lm(tokenizer)
    split = 0
    for epoch in range(10):
        numbers = np.arange(len(source)) + epoch * len(source)
        rows = source.rows(np.arange(len(source)))
        targets = task.batch(Draw(rows, numbers, source=source)).targets.numpy()
        for ids, asked in zip(rows.ids[:, :-1], targets != IGNORED, strict=True):
            of_word = word_numbers(ids, vocabulary, "rjieba")
            for word in range(of_word.max() + 1):
                share = asked[of_word == word].mean()
                assert share in (0, 1)
                split += int((of_word == word).sum() > 1 and share == 1)
    assert split > 20  # words of several tokens were among them


def test_hidden_words_are_as_many_tokens_as_the_rate_says(new_tokenizer: NewTokenizer) -> None:
    tokenizer = new_tokenizer(special=["[MASK]"])
    masking = masked_lm(tokenizer, rate=0.25).masking
    ids = np.array(tokenizer.encode(ENGLISH[0]))
    counts = [int(masking.choose(ids, np.random.default_rng(seed)).sum()) for seed in range(200)]
    assert max(counts) == round(0.25 * len(ids))
    assert np.mean(counts) > 0.95 * round(0.25 * len(ids))
    one = masking.choose(ids[:1], np.random.default_rng(0))
    assert one.tolist() == [True]


def test_what_a_row_hides_depends_on_its_number_and_seed_alone(new_tokenizer: NewTokenizer, new_data: NewData) -> None:
    tokenizer = new_tokenizer(special=["[MASK]"])
    source = Passages(new_data(tokenizer), 40)
    task = masked_lm(tokenizer)

    def inputs(numbers: list[int], seed: int = 1) -> list[list[int]]:
        rows = source.rows(np.zeros(len(numbers), np.int64) + 3)
        return task.batch(Draw(rows, np.array(numbers), seed, source)).input_ids.tolist()

    assert inputs([7, 8, 9])[2] == inputs([9])[0]
    assert inputs([7]) != inputs([8])
    assert inputs([7]) != inputs([7], seed=2)


def test_padding_is_neither_seen_nor_asked_for(new_tokenizer: NewTokenizer, new_data: NewData) -> None:
    tokenizer = new_tokenizer(special=["[MASK]"])
    source = Passages(new_data(tokenizer, ["the cat sat.", ENGLISH[0]]), 24)
    batch = masked_lm(tokenizer).batch(Draw.of(source.rows(np.array([0, 1])), source=source))
    assert batch.attention_mask is not None
    assert batch.attention_mask.sum(1).tolist() == [len(tokenizer.encode("the cat sat.")), 24]
    assert (batch.targets[batch.attention_mask == 0] == IGNORED).all()


def test_the_loss_is_the_summed_cross_entropy_of_the_hidden_tokens(new_tokenizer: NewTokenizer) -> None:
    tokenizer = new_tokenizer(special=["[MASK]"])
    ids = np.array([tokenizer.encode(ENGLISH[0])[:20], tokenizer.encode(ENGLISH[9])[:20]])
    task = masked_lm(tokenizer)
    batch = task.batch(Draw.of(PackedRow(ids, np.zeros_like(ids))))
    model = tiny_model(task.config, tokenizer.vocab_size).eval()
    loss = task.loss(model, batch)
    log_probabilities = torch.log_softmax(model(batch.input_ids), dim=-1)
    asked = [(row, place) for row in range(2) for place in range(20) if batch.targets[row, place] != IGNORED]
    by_hand = -sum(log_probabilities[row, place, ids[row, place]].item() for row, place in asked)
    assert loss.count == len(asked) == 2 * round(0.15 * 20)
    assert loss.sum.item() == pytest.approx(by_hand, rel=1e-12)
    assert loss.tokens == 40
    right = sum(int(log_probabilities[row, place].argmax()) == ids[row, place] for row, place in asked)
    assert loss.parts["masked-lm"].right == right


def test_a_tokenizer_without_a_mask_is_refused_with_advice(new_tokenizer: NewTokenizer) -> None:
    with pytest.raises(
        ConfigError, match=r"no special token \[MASK\], which masked-lm needs; a recipe with task\.name"
    ):
        masked_lm(new_tokenizer())


def test_shares_beyond_all_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mask_share \(0.95\) and random_share \(0.1\) are more than all"):
        settings("masked-lm", mask_share=0.95)
