"""Who guesses, and which guesses stay."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests.generation.engines import tiny

from wenlu.errors import UsageError
from wenlu.generation.engine import Request
from wenlu.generation.settings import Sampling
from wenlu.generation.speculation import DraftModel, Guess, PromptLookup, first_layers, settle, verify
from wenlu.generation.speculation.drafter import Draft, Draftee
from wenlu.models import LanguageModel


def tokens(draft: Draft) -> list[int]:
    return [guess.token for guess in draft]


def test_guesses_that_were_not_drawn_are_compared_with_what_is_drawn() -> None:
    rules = Sampling(temperature=1.0)
    rows = [Draftee(Request([1, 2], 9, rules, seed=seed), 9, [1, 2], []) for seed in range(50)]
    logits = torch.tensor([[0.2, 0.5, 0.3]]).log().repeat(50, 1)
    plain = settle(logits, rows, [None] * 50)
    assert {scored.token for scored in plain} == {0, 1, 2}
    assert settle(logits, rows, [Guess(1)] * 50) == plain


def test_a_drawn_guess_stays_with_the_ratio_of_its_probabilities_or_gives_way_to_what_they_leave_out() -> None:
    target = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    drawn_from = torch.tensor([0.8, 0.1, 0.1], dtype=torch.float64)
    assert verify(target, 0, drawn_from, 0.24, 0.0) == 0  # 0.2 / 0.8 = 0.25
    # Else a token of (0, 0.4, 0.2) / 0.6.
    assert verify(target, 0, drawn_from, 0.26, 0.6) == 1
    assert verify(target, 0, drawn_from, 0.26, 0.7) == 2


def test_a_guess_as_likely_as_the_model_finds_it_always_stays() -> None:
    same = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    assert verify(same, 2, same, 1 - 2**-53, 0.9) == 2


def test_over_all_numbers_a_verified_guess_is_distributed_as_the_target() -> None:
    target = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    drawn_from = torch.tensor([0.6, 0.1, 0.3], dtype=torch.float64)
    grid = [(step + 0.5) / 30 for step in range(30)]
    shares = [0.0, 0.0, 0.0]
    for guess in range(3):
        for accept in grid:
            for draw in grid:
                shares[verify(target, guess, drawn_from, accept, draw)] += float(drawn_from[guess]) / 900
    assert shares == pytest.approx(target.tolist(), abs=1e-9)


def test_look_up_takes_what_followed_the_longest_end_last() -> None:
    def guess(text: list[int], **sizes: int) -> list[int]:
        (draft,) = PromptLookup(**sizes).propose([Draftee(Request(text, 9), 9, text[:2], text[2:])], [3])
        return tokens(draft)

    assert guess([1, 2, 3, 9, 1, 2, 3, 8, 7, 6, 1, 2, 3]) == [8, 7, 6]
    assert guess([5, 3, 4, 1, 3, 7, 5, 3]) == [4, 1, 3]  # two tokens in a row before the later single one
    assert guess([5, 3, 4, 1, 3, 7, 5, 3], most=1) == [7, 5, 3]
    assert guess([1, 2, 3]) == []
    assert guess([1, 2, 1], least=2) == []
    assert guess([4, 4]) == [4]
    assert guess([4]) == []


@pytest.mark.parametrize("name", ["llama", "mistral"])
def test_a_draft_model_guesses_the_same_whatever_it_read_before_and_for_whom_else(name: str) -> None:
    model = tiny(name)
    request = Request([1, 2, 3] * 5, 40, Sampling(temperature=1.0), seed=6)
    kept = DraftModel(model, max_batch=2)
    for answer in ([4], [4, 5, 6], [4, 9], [4, 5, 6, 7], [4, *range(15)], [4, *range(14)]):
        row = Draftee(request, 40, request.prompt, answer)
        beside = Draftee(request, 40, [7, 7], [8] * (len(answer) % 3), id=1)
        (fresh,) = DraftModel(model).propose([row], [3])
        found, _ = kept.propose([row, beside], [3, 2])
        assert tokens(found) == tokens(fresh)
        for one, other in zip(found, fresh, strict=True):
            assert one.probabilities is not None
            torch.testing.assert_close(one.probabilities, other.probabilities, atol=0, rtol=0)
    kept.forget(0)
    kept.forget(1)
    kept.forget(2)
    assert kept._memory.stats().used == 0


def test_a_draft_model_makes_room_for_those_it_is_asked_for() -> None:
    drafter = DraftModel(tiny("llama"), max_batch=1)
    rows = [Draftee(Request([n] * 40, 20), 20, [n] * 40, [1], id=n) for n in range(1, 5)]
    for row in rows:
        assert len(drafter.propose([row], [2])[0]) == 2
    assert drafter._memory.stats().free == 0


def test_a_draft_model_guesses_nothing_beyond_its_context_or_the_end(make_llama: Callable[..., LanguageModel]) -> None:
    short = DraftModel(make_llama(context=8))
    row = Draftee(Request([1] * 6, 9), 9, [1] * 6, [2])
    (found,) = short.propose([row], [4])
    assert len(found) == 1
    assert short.propose([row.behind([1])], [4]) == [()]
    ends = Draftee(Request([1], 9, stop_ids=frozenset(range(48))), 9, [1], [2])
    assert len(DraftModel(make_llama()).propose([ends], [4])[0]) == 1


def test_the_first_layers_answer_as_a_model_of_so_many(make_llama: Callable[..., LanguageModel]) -> None:
    model = make_llama()
    ids = torch.tensor([[1, 2, 3]])
    expected = model(ids)
    early = first_layers(model, 1)
    hooked: list[torch.Tensor] = []
    handle = model.layers[0].register_forward_hook(lambda *call: hooked.append(call[2]))
    model(ids)
    handle.remove()
    torch.testing.assert_close(early(ids), model.lm_head(model.norm(hooked[0])))
    torch.testing.assert_close(model(ids), expected)
    assert early.lm_head is model.lm_head
    assert first_layers(model, 1) is early
    model.layers[0] = make_llama().layers[0]
    assert first_layers(model, 1) is not early


def test_layers_that_a_model_does_not_have_are_refused(make_llama: Callable[..., LanguageModel]) -> None:
    with pytest.raises(UsageError, match="early exit behind 2 layers: Llama has 2 that it could leave"):
        first_layers(make_llama(), 2)
    with pytest.raises(UsageError, match=r"early exit behind 1 layers: LSTM.* has 0"):
        first_layers(tiny("lstm"), 1)
