"""The field's sums, best paths and probabilities are those of all paths written out."""

from __future__ import annotations

import os
from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from wenlu.errors import DataError
from wenlu.models.layers.crf import CRF, constrained_path

CASES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60
CLOSE = {torch.float32: 1e-5, torch.float64: 1e-10}
in_both_types = pytest.mark.parametrize("dtype", list(CLOSE), ids=["float32", "float64"])

Path = tuple[int, ...]


def random_crf(labels: int, dtype: torch.dtype, scale: float = 1.0) -> CRF:
    crf = CRF(labels).to(dtype)
    for weight in crf.parameters():
        torch.nn.init.normal_(weight, std=scale)
    return crf


def random_case(seed: int, dtype: torch.dtype) -> tuple[CRF, Tensor, Tensor]:
    torch.manual_seed(seed)
    labels, longest, rows = (int(torch.randint(1, most + 1, ())) for most in (4, 5, 3))
    lengths = torch.randint(1, longest + 1, (rows,))
    return random_crf(labels, dtype), torch.randn(rows, longest, labels, dtype=dtype), lengths


def is_allowed(path: Path, mask: Tensor) -> bool:
    steps = pairwise([len(mask) - 2, *path, len(mask) - 1])
    told = mask.tolist()
    return all(told[before][label] for before, label in steps)


def all_paths(crf: CRF, emissions: Tensor, mask: Tensor | None = None) -> dict[Path, Tensor]:
    """The score of each path through one row, (T, L)."""
    length, labels = emissions.shape
    found = [path for path in product(range(labels), repeat=length) if mask is None or is_allowed(path, mask)]
    paths = torch.tensor(found)  # (P, T)
    steps = crf.transitions[paths[:, :-1], paths[:, 1:]].sum(1)
    scores = crf.start[paths[:, 0]] + emissions[range(length), paths].sum(1) + steps + crf.end[paths[:, -1]]
    return dict(zip(found, scores.unbind(), strict=True))


def random_mask(labels: int) -> Tensor:
    """About a third of the steps forbidden, but one label may always stand."""
    mask = torch.rand(labels + 2, labels + 2) > 0.3
    mask[[0, labels], 0] = True
    mask[0, labels + 1] = True
    return mask


@in_both_types
def test_sums_paths_and_marginals_are_those_of_all_paths(dtype: torch.dtype) -> None:
    for seed in range(CASES):
        crf, emissions, lengths = random_case(seed, dtype)
        mask = random_mask(len(crf.start)) if seed % 2 else None
        partition = crf.log_partition(emissions, lengths)
        found = crf.decode(emissions, lengths, mask)
        marginals = crf.marginals(emissions, lengths, mask)
        assert partition.dtype == marginals.dtype == dtype
        for row, length in enumerate(lengths.tolist()):
            scores = all_paths(crf, emissions[row, :length])
            total = torch.stack(list(scores.values())).logsumexp(0)
            torch.testing.assert_close(partition[row], total, rtol=0, atol=CLOSE[dtype])
            legal = all_paths(crf, emissions[row, :length], mask)
            assert found[row] == list(max(legal, key=lambda path: legal[path].item()))
            weights = torch.stack(list(legal.values())).softmax(0)
            expected = torch.zeros(emissions.shape[1:], dtype=dtype)
            for path, weight in zip(legal, weights, strict=True):
                for place, label in enumerate(path):
                    expected[place, label] += weight.detach()
            torch.testing.assert_close(marginals[row], expected, rtol=0, atol=CLOSE[dtype])


@in_both_types
def test_a_loss_is_what_the_right_path_lacks_of_all_paths(dtype: torch.dtype) -> None:
    for seed in range(CASES):
        crf, emissions, lengths = random_case(seed, dtype)
        labels = torch.randint(len(crf.start), emissions.shape[:2])
        expected = 0.0
        for row, length in enumerate(lengths.tolist()):
            scores = all_paths(crf, emissions[row, :length])
            expected -= (
                torch.stack(list(scores.values()))
                .log_softmax(0)[list(scores).index(tuple(labels[row, :length].tolist()))]
                .item()
            )
        loss = crf.negative_log_likelihood(emissions, labels, lengths)
        assert loss.item() == pytest.approx(expected, abs=5 * CLOSE[dtype])


def test_the_gradient_is_expected_minus_observed_counts() -> None:
    crf = random_crf(3, torch.float64)
    emissions = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    lengths, labels = torch.tensor([4, 2]), torch.tensor([[2, 0, 0, 1], [1, 1, -100, -100]])
    crf.negative_log_likelihood(emissions, labels, lengths).backward()
    observed = torch.zeros(2, 4, 3, dtype=torch.float64)
    for row, place in ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)):
        observed[row, place, labels[row, place]] = 1
    expected = crf.marginals(emissions, lengths)
    torch.testing.assert_close(emissions.grad, expected - observed)
    torch.testing.assert_close(crf.start.grad, (expected - observed)[:, 0].sum(0))
    torch.testing.assert_close(crf.end.grad, (expected - observed)[[0, 1], lengths - 1].sum(0))
    steps = torch.zeros(3, 3, dtype=torch.float64)
    for row, length in enumerate(lengths.tolist()):
        scores = all_paths(crf, emissions[row, :length])
        for path, weight in zip(scores, torch.stack(list(scores.values())).softmax(0), strict=True):
            for before, label in pairwise(path):
                steps[before, label] += weight.detach()
        for before, label in pairwise(labels[row, :length].tolist()):
            steps[before, label] -= 1
    torch.testing.assert_close(crf.transitions.grad, steps)


class Fitted(torch.nn.Module):
    """A field and the right labels of two rows."""

    def __init__(self, crf: CRF) -> None:
        super().__init__()
        self.crf = crf

    def forward(self, emissions: Tensor) -> Tensor:
        labels, lengths = torch.tensor([[0, 2, 1], [2, -100, -100]]), torch.tensor([3, 1])
        return self.crf.negative_log_likelihood(emissions, labels, lengths)


def test_the_gradient_is_that_of_small_differences() -> None:
    module = Fitted(random_crf(3, torch.float64))
    names, weights = zip(*module.named_parameters(), strict=True)

    def loss(emissions: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(module, dict(zip(names, weights, strict=True)), (emissions,))

    emissions = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (emissions, *weights))


def test_padding_changes_nothing_whatever_it_holds() -> None:
    crf = random_crf(4, torch.float64)
    emissions, labels = torch.randn(1, 3, 4, dtype=torch.float64), torch.tensor([[1, 3, 0]])
    alone = emissions.clone().requires_grad_()
    padded = torch.cat([emissions, torch.full((1, 2, 4), torch.nan, dtype=torch.float64)], 1)
    padded[0, 4] = torch.inf
    padded.requires_grad_()
    wide_labels = torch.tensor([[1, 3, 0, -100, 7]])
    length = torch.tensor([3])
    losses = [
        crf.negative_log_likelihood(alone, labels, length),
        crf.negative_log_likelihood(padded, wide_labels, length),
    ]
    assert losses[0].item() == losses[1].item()
    gradients = [torch.autograd.grad(loss, x)[0] for loss, x in zip(losses, (alone, padded), strict=True)]
    assert torch.equal(gradients[0], gradients[1][:, :3])
    assert not gradients[1][:, 3:].any()
    assert crf.decode(padded, length) == crf.decode(alone, length)
    assert torch.equal(crf.marginals(padded, length)[:, :3], crf.marginals(alone, length))
    assert not crf.marginals(padded, length)[:, 3:].any()


def test_a_row_gives_the_same_alone_and_in_a_batch() -> None:
    crf = random_crf(4, torch.float64)
    emissions, lengths = torch.randn(5, 6, 4, dtype=torch.float64), torch.tensor([6, 1, 3, 1, 5])
    together = crf.log_partition(emissions, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone, one = emissions[row : row + 1, :length], lengths[row : row + 1]
        assert together[row].item() == pytest.approx(crf.log_partition(alone, one).item(), abs=1e-12)
        assert crf.decode(emissions, lengths)[row] == crf.decode(alone, one)[0]


def test_a_new_field_is_the_softmax_at_each_place() -> None:
    crf, emissions, lengths = CRF(5), torch.randn(3, 4, 5), torch.tensor([4, 1, 2])
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(crf.marginals(emissions, lengths)[row, :length], emissions[row, :length].softmax(-1))
        assert crf.decode(emissions, lengths)[row] == emissions[row, :length].argmax(-1).tolist()


def test_half_precision_is_summed_in_float32() -> None:
    crf = random_crf(4, torch.bfloat16)
    emissions, lengths = torch.randn(2, 5, 4, dtype=torch.bfloat16), torch.tensor([5, 3])
    found = crf.log_partition(emissions, lengths)
    assert found.dtype == torch.float32
    exact = crf.double().log_partition(emissions.double(), lengths)
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-5)


hostile = st.one_of(
    st.floats(width=32),
    st.sampled_from([float("inf"), float("-inf"), float("nan"), 3e38, -3e38, 0.0]),
)


@in_both_types
@settings(max_examples=CASES)
@given(data=st.data())
def test_an_illegal_step_is_never_decoded_whatever_the_weights(dtype: torch.dtype, data: st.DataObject) -> None:
    labels, length = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    torch.manual_seed(data.draw(st.integers(0, 999)))
    mask = random_mask(labels)

    def numbers(*shape: int) -> Tensor:
        count = torch.Size(shape).numel()
        drawn = data.draw(st.lists(hostile, min_size=count, max_size=count))
        return torch.tensor(drawn, dtype=dtype).reshape(shape)

    crf = CRF(labels).to(dtype)
    crf.load_state_dict({"transitions": numbers(labels, labels), "start": numbers(labels), "end": numbers(labels)})
    emissions, lengths = numbers(2, length, labels), torch.tensor([length, data.draw(st.integers(1, length))])
    for path, size in zip(crf.decode(emissions, lengths, mask), lengths.tolist(), strict=True):
        assert len(path) == size
        assert is_allowed(tuple(path), mask)
    for path in constrained_path(emissions, lengths, mask):
        assert is_allowed(tuple(path), mask)
    assert crf.marginals(emissions, lengths, mask).isfinite().all()


def test_without_a_field_the_best_allowed_path_has_the_highest_product_of_probabilities() -> None:
    for seed in range(CASES):
        _, logits, lengths = random_case(seed, torch.float64)
        mask = random_mask(logits.size(2))
        found = constrained_path(logits, lengths, mask)
        for row, length in enumerate(lengths.tolist()):
            probabilities = logits[row, :length].softmax(-1)
            legal = list(all_paths(CRF(logits.size(2)), logits[row, :length], mask))
            product_of = {path: probabilities[range(length), list(path)].prod().item() for path in legal}
            assert product_of[tuple(found[row])] == pytest.approx(max(product_of.values()), rel=1e-9)


def test_where_no_path_is_allowed_the_message_says_so() -> None:
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[2, 0] = mask[0, 1] = mask[1, 3] = True  # B E alone, and no tag for a single token
    crf = CRF(2)
    assert crf.decode(torch.zeros(1, 2, 2), torch.tensor([2]), mask) == [[0, 1]]
    with pytest.raises(DataError, match="no path of 3 labels is allowed; a label is missing"):
        crf.decode(torch.zeros(2, 3, 2), torch.tensor([2, 3]), mask)
    with pytest.raises(DataError, match="no path of labels is allowed"):
        crf.marginals(torch.zeros(1, 1, 2), torch.tensor([1]), mask)
