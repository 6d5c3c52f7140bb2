"""Encoder–decoders in the engine and in beam search: the prompt is the source, the answer its target."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from wenlu.errors import UsageError
from wenlu.generation.beam import beam_search
from wenlu.generation.engine import Emission, Engine, Request
from wenlu.generation.settings import Sampling
from wenlu.models import FAMILIES, Ability, Family, LanguageModel, family
from wenlu.models.weights import save_model

VOCAB, START, END = 23, 2, 1
ROWS = [row for row in FAMILIES if Ability.ENCODER_DECODER in row.abilities]
families = pytest.mark.parametrize("row", ROWS, ids=attrgetter("name"))
of_transformers = pytest.mark.parametrize("row", [row for row in ROWS if row.hf_types], ids=attrgetter("name"))
SOURCES = [[5, 6, 7, 8], [9], [4, 4, 10, 11, 12, 13, 3], [14, 15]]


def build(row: Family, **changes: Any) -> LanguageModel:
    """In fp64; an oracle that rounds to fp32 here and there still chooses the same tokens."""
    torch.manual_seed(3)
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 32,
        "pad_token_id": 0,
        "eos_token_id": END,
        "decoder_start_token_id": START,
        "initializer_range": 1.0 if "t5" in row.name else 0.6,
        "tie_word_embeddings": False,
        **changes,
    }
    fitting = {name: value for name, value in sizes.items() if name in row.config.model_fields}
    return row.build(row.config(vocab_size=VOCAB, **fitting), dtype=torch.float64).eval()


def to_transformers(row: Family, model: LanguageModel, folder: Path) -> transformers.PreTrainedModel:
    save_model(folder, model, row)
    reference = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float64).eval()
    reference.generation_config.forced_eos_token_id = None  # which BART and Marian set by default
    return reference


def run(engine: Engine, requests: list[Request], *, a_step: int = 100) -> list[list[Emission]]:
    """The emissions of each request, `a_step` of which are submitted before each step."""
    waiting, emitted = list(requests), dict[int, list[Emission]]()
    while waiting or engine.busy:
        emitted |= {engine.submit(request): [] for request in waiting[:a_step]}
        waiting = waiting[a_step:]
        for emission in engine.step():
            emitted[emission.id].append(emission)
    return list(emitted.values())


@torch.no_grad()
def greedy(model: LanguageModel, source: list[int], n: int) -> list[int]:
    """Reference: both texts through the model for each token."""
    target = [START]
    for _ in range(n):
        logits = model(torch.tensor([source]), decoder_input_ids=torch.tensor([target]))
        target.append(int(logits[0, -1].argmax()))
    return target[1:]


@families
@pytest.mark.parametrize(("max_batch", "a_step", "budget"), [(16, 100, 8192), (2, 1, 8192), (3, 2, 8)])
def test_a_greedy_answer_equals_argmax_of_the_full_forward(
    row: Family, max_batch: int, a_step: int, budget: int
) -> None:
    """Whoever runs beside it, and whenever it joined."""
    model = build(row)
    engine = Engine(model, max_batch=max_batch, max_prefill_tokens=budget)
    lengths = [14, 3, 9, 20]
    requests = [Request(source, max_new_tokens=n) for source, n in zip(SOURCES, lengths, strict=True)]
    answers = [[each.token for each in answer] for answer in run(engine, requests, a_step=a_step)]
    assert answers == [greedy(model, source, n) for source, n in zip(SOURCES, lengths, strict=True)]


@of_transformers
@pytest.mark.parametrize("repetition", [1.0, 1.7])
def test_greedy_answers_equal_those_of_transformers(row: Family, repetition: float, tmp_path: Path) -> None:
    """The penalty counts what stands in the target, its start token included, and not the source."""
    model = build(row)
    reference = to_transformers(row, model, tmp_path)
    rules = Sampling(repetition_penalty=repetition)
    requests = [Request(source, max_new_tokens=20, rules=rules, stop_ids=frozenset({END})) for source in SOURCES]
    for source, answer in zip(SOURCES, run(Engine(model), requests), strict=True):
        expected = reference.generate(
            torch.tensor([source]),
            max_new_tokens=20,
            do_sample=False,
            num_beams=1,
            repetition_penalty=repetition,
            use_cache=False,
        )[0, 1:]
        assert [each.token for each in answer] == expected.tolist()


@of_transformers
@pytest.mark.parametrize("penalty", [1.0, 1.8, -0.5])
@pytest.mark.parametrize(("num_beams", "repetition"), [(2, 1.0), (4, 1.0), (5, 1.3)])
def test_beams_equal_those_of_transformers(
    row: Family, num_beams: int, penalty: float, repetition: float, tmp_path: Path
) -> None:
    model = build(row)
    reference = to_transformers(row, model, tmp_path)
    for source in SOURCES:
        found = beam_search(
            model,
            source,
            num_beams=num_beams,
            max_new_tokens=12,
            stop_ids=frozenset({END}),
            length_penalty=penalty,
            rules=Sampling(repetition_penalty=repetition),
        )
        expected = reference.generate(
            torch.tensor([source]),
            num_beams=num_beams,
            num_return_sequences=num_beams,
            max_new_tokens=12,
            length_penalty=penalty,
            repetition_penalty=repetition,
            early_stopping="never",
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
            use_cache=False,
        )
        answers = [tuple(row[1:].tolist()) for row in expected.sequences]
        padded = [answer[: answer.index(END) + 1] if END in answer else answer for answer in answers]
        assert [hypothesis.tokens for hypothesis in found] == padded
        assert [hypothesis.score for hypothesis in found] == pytest.approx(
            expected.sequences_scores.tolist(), rel=1e-5, abs=1e-5
        )


@families
def test_drawn_answers_do_not_depend_on_their_neighbours(row: Family) -> None:
    model = build(row)
    rules = Sampling(temperature=1.2, top_k=9)
    requests = [Request(source, max_new_tokens=9, rules=rules, seed=7, choice=c) for source in SOURCES for c in (0, 1)]
    together = run(Engine(model, max_batch=3), requests, a_step=2)
    alone = [run(Engine(model), [request])[0] for request in requests]
    assert [[e.token for e in answer] for answer in together] == [[e.token for e in answer] for answer in alone]
    assert len({tuple(e.token for e in answer) for answer in alone}) > 4


def test_penalties_count_tokens_of_the_target_where_it_has_its_own_vocabulary() -> None:
    settings = {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 9}
    rules = Sampling(repetition_penalty=1.5, presence_penalty=0.3)
    (answer,) = run(Engine(build(family("marian"), **settings)), [Request([20, 21], max_new_tokens=8, rules=rules)])
    assert len(answer) == 8
    assert max(each.token for each in answer) < 9


def test_a_source_may_fill_the_context_and_an_answer_its_own() -> None:
    model = build(family("bart"), max_position_embeddings=6)
    (answer,) = run(Engine(model), [Request([4] * 6, max_new_tokens=99)])
    assert [each.finish for each in answer] == [None] * 5 + ["length"]
    with pytest.raises(UsageError, match="the source has 7 tokens, and the model reads at most 6"):
        Engine(model).submit(Request([4] * 7, max_new_tokens=1))


def test_relative_positions_have_no_end() -> None:
    (answer,) = run(Engine(build(family("t5"))), [Request([4] * 50, max_new_tokens=40)])
    assert len(answer) == 40


def test_a_model_without_a_start_token_is_asked_for_one() -> None:
    model = build(family("transformer"), decoder_start_token_id=None)
    with pytest.raises(UsageError, match="set decoder_start_token_id in config"):
        Engine(model).submit(Request([4], max_new_tokens=1))
    with pytest.raises(UsageError, match="set decoder_start_token_id in config"):
        beam_search(model, [4], num_beams=2, max_new_tokens=1)


def test_the_token_that_opens_texts_opens_a_target_too_unless_another_is_named() -> None:
    named = build(family("transformer"), decoder_start_token_id=5)
    other = build(family("transformer"), decoder_start_token_id=None, bos_token_id=5)
    for source in SOURCES:
        answers = [run(Engine(model), [Request(source, max_new_tokens=8)])[0] for model in (named, other)]
        assert [e.token for e in answers[0]] == [e.token for e in answers[1]]
