"""Each target is scored once, whatever the window, the batch and the padding; and equals one full forward pass."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wenlu.evaluation.likelihood import StateScorer, WindowScorer, sliding
from wenlu.models import LanguageModel

EOT = 0
Reference = Callable[[LanguageModel, list[int], int], list[float]]
texts = st.lists(st.lists(st.integers(1, 22), max_size=30), min_size=1, max_size=6)
window = st.tuples(st.integers(1, 12), st.integers(1, 12)).map(lambda pair: (max(pair), min(pair)))
tiny_models = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(inputs=st.integers(0, 60), window=window)
def test_each_target_is_in_exactly_one_window(inputs: int, window: tuple[int, int]) -> None:
    context, stride = window
    windows = list(sliding(inputs, context=context, stride=stride))
    scored = Counter(target for w in windows for target in range(w.first, w.end))
    assert scored == Counter(range(inputs))


@given(inputs=st.integers(1, 60), window=window)
def test_later_windows_are_full_and_leave_enough_context(inputs: int, window: tuple[int, int]) -> None:
    context, stride = window
    first, *later = sliding(inputs, context=context, stride=stride)
    assert (first.start, first.first, first.end) == (0, 0, min(inputs, context))
    for w in later:
        assert w.end - w.start == context
        assert w.first - w.start >= context - stride


def test_a_stride_beyond_the_context_is_refused() -> None:
    with pytest.raises(AssertionError, match="a stride of 9 would leave out targets of a context of 8"):
        list(sliding(20, context=8, stride=9))


class Counting(LanguageModel):
    """Gives the target at input position p the cost p of its window: costs tell where each target stood."""

    def __init__(self) -> None:
        super().__init__()
        self.config = type("Config", (), {"vocab_size": 4})
        self.lm_head = torch.nn.Linear(4, 4, bias=False)
        torch.nn.init.eye_(self.lm_head.weight)
        self.read: list[int] = []

    def hidden(self, input_ids: torch.Tensor, **_: object) -> torch.Tensor:
        self.read.append(input_ids.numel())
        logits = torch.zeros(*input_ids.shape, 4)
        logits[..., 1] = -torch.arange(input_ids.shape[1]) - 20.0  # target 1 costs about 20 + position
        return logits

    def init_state(self, batch_size: int = 1) -> object:  # type: ignore[override]
        raise NotImplementedError


def test_costs_come_from_the_position_that_the_window_gives() -> None:
    scorer = WindowScorer(Counting(), bos_id=0, eos_id=1, context=4, stride=2)
    (costs,) = scorer.negative_log_likelihoods([[1] * 8])
    positions = np.round(costs - 20 - np.log(3)).tolist()
    assert positions == [0, 1, 2, 3, 2, 3, 2, 3, 3]


@tiny_models
@given(documents=texts)
def test_one_window_over_all_equals_one_full_forward_pass(
    tiny_llama: LanguageModel, full_costs: Reference, documents: list[list[int]]
) -> None:
    scorer = WindowScorer(tiny_llama, EOT, EOT, context=64, stride=1, batch_tokens=50)
    for document, costs in zip(documents, scorer.negative_log_likelihoods(documents), strict=True):
        np.testing.assert_allclose(costs, full_costs(tiny_llama, document, EOT), atol=2e-4)


@tiny_models
@given(documents=texts, window=window, batch_tokens=st.integers(1, 200))
def test_batches_and_padding_change_nothing(
    tiny_llama: LanguageModel, documents: list[list[int]], window: tuple[int, int], batch_tokens: int
) -> None:
    context, stride = window
    together = WindowScorer(tiny_llama, EOT, EOT, context, stride, batch_tokens).negative_log_likelihoods(documents)
    alone = WindowScorer(tiny_llama, EOT, EOT, context, stride, batch_tokens=1)
    for document, costs in zip(documents, together, strict=True):
        assert len(costs) == len(document) + 1
        np.testing.assert_allclose(costs, alone.negative_log_likelihoods([document])[0], atol=2e-4)


@tiny_models
@given(document=st.lists(st.integers(1, 22), max_size=30), context=st.integers(1, 12))
def test_at_stride_one_each_target_sees_the_tokens_of_a_full_context(
    tiny_llama: LanguageModel, document: list[int], context: int
) -> None:
    (costs,) = WindowScorer(tiny_llama, EOT, EOT, context, stride=1).negative_log_likelihoods([document])
    symbols = [EOT, *document, EOT]
    for target, cost in enumerate(costs, start=1):
        seen = torch.tensor([symbols[max(0, target - context) : target]])
        with torch.no_grad():
            expected = -tiny_llama(seen)[0, -1].double().log_softmax(dim=-1)[symbols[target]]
        assert cost == pytest.approx(expected.item(), abs=2e-4)


@tiny_models
@given(documents=texts, chunk=st.integers(1, 12), rows=st.integers(1, 4))
def test_a_recurrent_model_sees_each_document_from_its_beginning(
    tiny_gru: LanguageModel, full_costs: Reference, documents: list[list[int]], chunk: int, rows: int
) -> None:
    scorer = StateScorer(tiny_gru, EOT, EOT, chunk=chunk, batch_tokens=rows * chunk)
    for document, costs in zip(documents, scorer.negative_log_likelihoods(documents), strict=True):
        np.testing.assert_allclose(costs, full_costs(tiny_gru, document, EOT), atol=2e-4)


def test_nothing_to_score_costs_nothing(tiny_llama: LanguageModel, tiny_gru: LanguageModel) -> None:
    assert WindowScorer(tiny_llama, EOT, EOT, 8, 4).negative_log_likelihoods([]) == []
    assert StateScorer(tiny_gru, EOT, EOT).negative_log_likelihoods([]) == []


def test_the_logits_are_never_held_whole(
    tiny_llama: LanguageModel, full_costs: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wenlu.evaluation.likelihood.LOGITS_AT_ONCE", 5 * 23)
    seen: list[int] = []
    tiny_llama.lm_head.register_forward_hook(lambda _module, _inputs, output: seen.append(output.numel()))
    document = [1 + i % 22 for i in range(30)]
    (costs,) = WindowScorer(tiny_llama, EOT, EOT, 64, 32).negative_log_likelihoods([document])
    assert max(seen) == 5 * 23
    np.testing.assert_allclose(costs, full_costs(tiny_llama, document, EOT), atol=2e-4)


def test_scoring_leaves_the_model_in_its_mode(tiny_gru: LanguageModel) -> None:
    tiny_gru.train()
    StateScorer(tiny_gru, EOT, EOT).negative_log_likelihoods([[1, 2]])
    assert tiny_gru.training
    tiny_gru.eval()
    StateScorer(tiny_gru, EOT, EOT).negative_log_likelihoods([[1, 2]])
    assert not tiny_gru.training
