"""Parts of prompts, single tokens and guesses in one call, and what they leave in the pages."""

from __future__ import annotations

import random

import pytest
import torch
from tests.generation.engines import PAGED, VOCAB, tiny
from torch import Tensor

from wenlu.generation.forward import alike
from wenlu.generation.pages import pool_for
from wenlu.generation.runner import TorchRunner

SIZE = 4
LENGTHS = (20, 17, 13, 6)
Span = tuple[int, int, int]
"""A text, and from where up to where it is read."""


@pytest.mark.parametrize("unit", [None, 8])
@pytest.mark.parametrize("name", PAGED)
def test_every_row_sees_its_own_text_up_to_itself(name: str, unit: int | None) -> None:
    model = tiny(name, dtype=torch.float64)
    chance = random.Random(1)
    texts = [[chance.randrange(VOCAB) for _ in range(length)] for length in LENGTHS]
    pool = pool_for(model, max_batch=4, page_size=SIZE)
    pages = pool.take(pool.num_pages)
    chance.shuffle(pages)
    tables = torch.tensor(pages[:24], dtype=torch.int32).view(4, 6)
    runner = TorchRunner(model, pool, unit=unit)

    def read(spans: list[Span], texts: list[list[int]]) -> Tensor:
        rows = [(text, place) for text, first, end in spans for place in range(first, end)]
        return runner.forward(
            torch.tensor([texts[text][place] for text, place in rows]),
            torch.tensor([place for _, place in rows], dtype=torch.int32),
            torch.tensor([text for text, _ in rows], dtype=torch.int32),
            tables,
            torch.arange(len(rows), dtype=torch.int32),
        )

    with torch.inference_mode():
        whole = [model(torch.tensor([text]))[0] for text in texts]
        calls: list[list[Span]] = [
            [(0, 0, 13), (1, 0, 16), (2, 0, 1)],
            [(2, 1, 9), (0, 13, 14), (1, 16, 17), (3, 0, 6)],
            [(0, 14, 20), (2, 9, 13)],
        ]
        guessed = [[(token + 1) % VOCAB for token in text] for text in texts]
        for spans in calls:
            expected = torch.cat([whole[text][first:end] for text, first, end in spans])
            torch.testing.assert_close(read(spans, texts), expected, rtol=1e-9, atol=1e-9)
            read([(0, 14, 18)], guessed)  # wrong guesses are written over


def test_only_the_wanted_rows_are_answered_in_float32_at_least() -> None:
    model = tiny("llama", dtype=torch.bfloat16)
    pool = pool_for(model, max_batch=1, page_size=SIZE)
    tables = torch.tensor([pool.take(2)], dtype=torch.int32)
    places = torch.arange(8, dtype=torch.int32)
    with torch.inference_mode():
        for wanted in ([], [7], [2, 5]):
            for unit in (None, 4):
                found = TorchRunner(model, pool, unit=unit).forward(
                    torch.arange(8), places, torch.zeros_like(places), tables, torch.tensor(wanted, dtype=torch.int32)
                )
                assert (found.shape, found.dtype) == ((len(wanted), VOCAB), torch.float32)


def test_texts_that_are_read_together_pad_no_more_than_the_half_of_what_is_read() -> None:
    chance = random.Random(2)
    for _ in range(200):
        lengths = [chance.choice((1, chance.randint(1, 100))) for _ in range(chance.randint(0, 12))]
        groups = alike(lengths)
        assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
        for group in groups:
            longest = max(lengths[index] for index in group)
            assert len(group) * longest <= 2 * sum(lengths[index] for index in group)
        assert len(groups) <= 7, "a group's longest is less than half of the one before"
