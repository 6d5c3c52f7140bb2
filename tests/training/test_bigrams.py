from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

import pytest
import torch

from wenlu.corpus.packing import Windows
from wenlu.corpus.shards import TokenData
from wenlu.errors import UsageError
from wenlu.models import LanguageModel, family
from wenlu.tasks import CausalLM, Draw
from wenlu.training import check_bigram_start, start_from_bigrams
from wenlu.training.bigrams import SMOOTHING, count_pairs


def test_pairs_are_counted_inside_documents_only(tokens: TokenData) -> None:
    expected: Counter[tuple[int, int]] = Counter()
    for index in range(tokens.num_documents):
        expected.update(itertools.pairwise([tokens.bos_id, *tokens.document(index).tolist(), tokens.eos_id]))
    counted = count_pairs(tokens, tokens.vocab_size)
    assert {(a, b): counted[a, b] for a, b in zip(*counted.nonzero(), strict=True)} == expected


def build(tokens: TokenData, width: int) -> LanguageModel:
    llama = family("llama")
    config = llama.config(
        vocab_size=tokens.vocab_size,
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
    )
    return llama.build(config, dtype=torch.float64, zero_outputs=True)


def test_wide_enough_the_untrained_model_is_the_smoothed_bigram(tokens: TokenData) -> None:
    model = build(tokens, width=64)
    start_from_bigrams(model, tokens)
    pairs = torch.from_numpy(count_pairs(tokens, tokens.vocab_size)).double()
    unigram = (pairs.sum(0) + 1) / (pairs.sum() + tokens.vocab_size)
    expected = (pairs + SMOOTHING * unigram) / (pairs.sum(1, keepdim=True) + SMOOTHING)
    given = model(torch.arange(tokens.vocab_size)[:, None])[:, 0].softmax(-1)
    torch.testing.assert_close(given, expected / expected.sum(1, keepdim=True), atol=2e-3, rtol=2e-2)


def test_narrow_it_still_begins_far_below_the_loss_of_guessing(
    tokens: TokenData, new_model: Callable[[], LanguageModel]
) -> None:
    rows = Windows(tokens, 16).rows(torch.arange(8).numpy())
    losses = []
    for model in (build(tokens, width=16), build(tokens, width=16)):
        if losses:
            start_from_bigrams(model, tokens)
        loss = CausalLM().loss(model, CausalLM().batch(Draw.of(rows)))
        losses.append(loss.sum.item() / loss.count)
    assert losses[1] < 0.7 * losses[0]


def test_a_model_without_a_free_head_is_refused(tokens: TokenData) -> None:
    llama, lstm, gpt2 = family("llama"), family("lstm"), family("gpt2")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    tied = llama.build(llama.config(vocab_size=20, tie_word_embeddings=True, **sizes))
    with pytest.raises(UsageError, match=r"needs an untied head; set model\.tie_word_embeddings=false"):
        check_bigram_start(llama, tied)
    with pytest.raises(UsageError, match=r'the untrained lstm is not linear; use train\.start="random"'):
        check_bigram_start(lstm, lstm.build(lstm.config(vocab_size=20, hidden_size=8)))
    untied = gpt2.build(gpt2.config(vocab_size=20, tie_word_embeddings=False, **sizes))
    with pytest.raises(UsageError, match=r'the untrained gpt2 is not linear; use train\.start="random"'):
        check_bigram_start(gpt2, untied)
    with pytest.raises(UsageError, match=r"20,000 are too many \(at most 16,384\)"):
        check_bigram_start(llama, llama.build(llama.config(vocab_size=20_000, **sizes)))
