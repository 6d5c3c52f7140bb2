"""pass@k: the chance that one of k programs passes the tests of its problem."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from wenlu.errors import DataError
from wenlu.metrics.mean import columns_for_means, mean_of
from wenlu.metrics.metric import Columns, Metric


def pass_at_k(k: int) -> Metric:
    """The mean over problems, from 0 to 1."""
    name = f"pass@{k}"
    return Metric(
        name=name,
        unit="fraction",
        better="higher",
        needs=(name, "examples"),
        compute=mean_of(name),
        signature=f"{name}|unbiased|mean:problems|v1",
        source="Chen et al. 2021, Evaluating large language models trained on code, arXiv:2107.03374, section 2.1",
    )


def pass_at_k_columns(samples: Sequence[int], passed: Sequence[int], k: int) -> Columns:
    """`pass@K` of each problem, and `examples`.

    Args:
        samples: how many programs each problem got.
        passed: how many of them passed all tests.
    """
    if not samples:
        raise DataError("no problems to take pass@k of: the split is empty")
    found = [_chance(n, c, k, problem) for problem, (n, c) in enumerate(zip(samples, passed, strict=True), start=1)]
    return columns_for_means({f"pass@{k}": found})


def _chance(samples: int, passed: int, k: int, problem: int) -> float:
    """1 - C(n-c, k) / C(n, k) as a product of c fractions, for the binomials overflow."""
    assert 0 <= passed <= samples, f"{passed} of {samples} programs of problem {problem} passed"
    if not 1 <= k <= samples:
        raise DataError(f"problem {problem} has {samples} programs, too few for pass@{k}; sample more or lower k")
    failed = samples - passed
    if failed < k:
        return 1.0
    return 1.0 - prod(1.0 - k / n for n in range(failed + 1, samples + 1))
