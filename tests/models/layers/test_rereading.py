"""Phi-3 over LongRoPE: a text that outgrows the first training's length is read again, row by row as if alone."""

from __future__ import annotations

import torch
from torch import Tensor

from wenlu.models import LanguageModel, family

LIMIT = 6


def phi3() -> LanguageModel:
    row = family("phi3")
    config = row.config(
        vocab_size=31,
        hidden_size=16,
        intermediate_size=20,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
        original_max_position_embeddings=LIMIT,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 50.0,
            "short_factor": [1.0, 1.2, 1.5, 2.0],
            "long_factor": [1.0, 3.0, 5.0, 9.0],
        },
        initializer_range=0.4,
    )
    return row.build(config, dtype=torch.float64).eval()


def text(length: int) -> Tensor:
    return torch.randint(0, 31, (1, length), generator=torch.Generator().manual_seed(length))


def test_once_outgrown_the_next_token_is_that_of_a_full_reading() -> None:
    model, ids = phi3(), text(12)
    state = model.init_state()
    for end in range(1, 13):
        logits = model(ids[:, end - 1 : end], state=state)
        torch.testing.assert_close(logits[:, -1], model(ids[:, :end])[:, -1])
    assert state.lengths.tolist() == [12]


def test_a_chunk_that_crosses_the_limit_is_answered_whole() -> None:
    model, ids = phi3(), text(11)
    state = model.init_state()
    model(ids[:, :4], state=state)
    torch.testing.assert_close(model(ids[:, 4:], state=state), model(ids)[:, 4:])


def test_rows_outgrow_the_limit_one_by_one() -> None:
    model, rows = phi3(), [text(3), text(5), text(9)]
    states = []
    for row in rows:
        states.append(model.init_state())
        model(row, state=states[-1])
    joined = type(states[0]).join(states)
    texts = list(rows)
    for step in range(4):
        new = torch.tensor([[step + 1], [step + 2], [step + 3]])
        logits = model(new, state=joined)
        texts = [torch.cat((row, new[i : i + 1]), dim=1) for i, row in enumerate(texts)]
        for index, row in enumerate(texts):
            torch.testing.assert_close(logits[index, -1], model(row)[0, -1])


def test_a_selected_row_remembers_its_text() -> None:
    model = phi3()
    state = model.init_state(2)
    both = torch.cat((text(6), text(6).flip(1)))
    model(both, state=state)
    chosen = state.select(torch.tensor([1, 1]))
    new = torch.tensor([[4], [7]])
    logits = model(new, state=chosen)
    for index in range(2):
        whole = torch.cat((both[1:], new[index : index + 1]), dim=1)
        torch.testing.assert_close(logits[index, -1], model(whole)[0, -1])


def test_padded_new_tokens_do_not_count_towards_the_limit() -> None:
    model = phi3()
    state = model.init_state(2)
    both = torch.cat((text(5), text(5).flip(1)))
    model(both, state=state)
    new, mask = torch.tensor([[1, 2, 3], [4, 0, 0]]), torch.tensor([[1, 1, 1], [1, 0, 0]])
    logits = model(new, attention_mask=mask, state=state)
    torch.testing.assert_close(logits[0], model(torch.cat((both[:1], new[:1]), dim=1))[0, -3:])
    torch.testing.assert_close(logits[1, 0], model(torch.cat((both[1:], new[1:, :1]), dim=1))[0, -1])
    assert state.lengths.tolist() == [8, 6]
