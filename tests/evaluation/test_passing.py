"""pass@k of a model that knows one body by heart, and a wrong one of another problem."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tasks.tiny import SIZES

from wenlu.bundle import Bundle
from wenlu.config import check
from wenlu.errors import ConfigError
from wenlu.evaluation import EvaluateConfig
from wenlu.evaluation.judged import Judged
from wenlu.evaluation.labelled import evaluate_answers
from wenlu.evaluation.passing import Passing, evaluate_passing, has_tests
from wenlu.evaluation.sandbox import walls
from wenlu.generation.settings import SamplingConfig
from wenlu.models import family
from wenlu.tasks import Code, Draw, new_task, read_settings
from wenlu.tasks.coding.settings import CodeExample
from wenlu.tokenizers import TokenizerConfig, train_tokenizer

HOLDS = sys.platform == "linux" and all(walls()[name] for name in ("no network", "no files outside", "bounded memory"))
held = pytest.mark.skipif(not HOLDS, reason="this system does not grant the walls")
CONTEXT = 96
TEST = "def check(candidate):\n    assert candidate(3) == 6\n"
KNOWN = [
    CodeExample('def double(x):\n    """Twice."""\n', "    return 2 * x", "a:1", unit_tests=TEST, entry_point="double"),
    CodeExample('def twice(x):\n    """Also."""\n', "    return x", "a:2", unit_tests=TEST, entry_point="twice"),
]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    texts = [f"{example.source}{example.target}" for example in KNOWN]
    tokenizer = train_tokenizer(TokenizerConfig(kind="char", vocab_size="auto", min_frequency=1), texts)
    config = read_settings({"name": "code", "fill_in_the_middle": 0})
    task = new_task(config.made_for(family("llama"), CONTEXT), tokenizer)  # type: ignore[attr-defined]
    torch.manual_seed(0)
    chosen = family("llama")
    sizes = {key: value for key, value in SIZES.items() if key in chosen.config.model_fields}
    model = chosen.build(chosen.config(vocab_size=tokenizer.vocab_size, **sizes), dtype=torch.float32).train()
    batch = task.batch(Draw.at(task.rows(KNOWN, CONTEXT), np.arange(2)))  # type: ignore[attr-defined]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        loss = task.loss(model, batch)
        torch.autograd.backward(loss.sum / loss.count)
        optimizer.step()
    return Bundle(model.eval(), tokenizer, task, model.config, Path("tiny"))


def passing(bundle: Bundle, **settings: object) -> Passing:
    config = EvaluateConfig.model_validate({"resamples": 100, "test_seconds": 30.0, **settings})
    return evaluate_passing(bundle, KNOWN, ["a", "b"], CONTEXT, config, SamplingConfig(max_new_tokens=24))


@held
def test_the_likeliest_program_of_one_problem_of_two_passes(bundle: Bundle) -> None:
    found = passing(bundle)
    assert [(score.name, score.value, score.n) for score in found.scores] == [("pass@1", 0.5, 2)]
    assert found.scores[0].signature.startswith("pass@1|unbiased|mean:problems|task:code|samples:1|decoding:greedy|")
    assert found.details == {"problems": 2, "programs": 2, "ended": {"passed": 1, "failed": 1}}
    assert found.by_id == {"a:1": {"samples": 1, "passed": 1}, "a:2": {"samples": 1, "passed": 0}}


@held
def test_of_several_drawn_programs_the_estimate_is_unbiased(bundle: Bundle) -> None:
    """At a low temperature each is the likeliest one; at a high one most are nonsense."""
    found = passing(bundle, samples=4, k=[1, 2], sample_temperature=0.01)
    assert [(score.name, score.value) for score in found.scores] == [("pass@1", 0.5), ("pass@2", 0.5)]
    assert "samples:4|decoding:drawn-0.01" in found.scores[0].signature
    hot = passing(bundle, samples=4, k=[1, 4], sample_temperature=50.0)
    once, ever = (score.value for score in hot.scores)
    assert once <= ever <= 0.5
    assert hot.details["programs"] == 8


@held
def test_an_evaluation_tells_scores_reasons_and_what_passed(bundle: Bundle) -> None:
    judged = [Judged(example.id, example.id, example) for example in KNOWN]
    config = EvaluateConfig(context=CONTEXT, resamples=100, split="test", test_seconds=30.0)
    assert isinstance(bundle.task, Code)
    found = evaluate_answers(bundle, bundle.task, judged, config, sampling=SamplingConfig(max_new_tokens=24))
    of_texts, of_tokens = ["edit_similarity", "accuracy", "parses"], ["bits_per_byte", "perplexity"]
    assert [score.name for score in found.scores] == [*of_texts, *of_tokens, "pass@1"]
    assert found.headline == "edit_similarity"
    assert found.to_json()["details"]["unit_tests"]["ended"] == {"passed": 1, "failed": 1}
    assert [row["passed"] for row in found.rows] == [1, 0]


def test_examples_without_tests_or_a_name_are_not_run() -> None:
    assert all(map(has_tests, KNOWN))
    assert not has_tests(CodeExample("def f():\n", "    pass", unit_tests=TEST))
    assert not has_tests(CodeExample("def f():\n", "    pass", entry_point="f"))


def test_k_needs_as_many_samples() -> None:
    with pytest.raises(ConfigError, match=r"k=10 is greater than samples=5: .* set evaluate.samples=10 or more"):
        check(EvaluateConfig, {"samples": 5, "k": [1, 10]}, where="[evaluate]")
