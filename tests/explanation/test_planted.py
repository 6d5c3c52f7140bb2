"""Models that were taught a keyword: an explanation that is valid puts it first, whatever reads the text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.explanation.subjects import fitted_svm

from wenlu.bundle import Bundle
from wenlu.corpus.record import Record
from wenlu.errors import UsageError, WenluError
from wenlu.evaluation.linear.prediction import Stored
from wenlu.explanation.certificate import certified
from wenlu.explanation.explain import Explainer, explain
from wenlu.explanation.faithfulness import faithfulness
from wenlu.explanation.methods import METHODS, Attribution, EffortConfig
from wenlu.explanation.settings import ExplainConfig
from wenlu.explanation.units import units_of
from wenlu.models import family
from wenlu.tasks.task import Draw
from wenlu.tasks.text_classification import LabelledText, TextClassification, TextClassificationConfig
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer

ROOM = "room bed lamp door wall desk sofa tap rug key tv bath sink fan mug cup pan fork spoon plate"
WORDS = ROOM.split()
KEYWORD = "broken"
TEXT = "the desk lamp broken sofa tap rug key tv bath sink fan mug"
LONG = f"{TEXT} cup pan fork spoon plate wall bed room door tv key lamp"
SIZES: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 1}
MODELS: dict[str, dict[str, Any]] = {
    "bert": {**SIZES, "intermediate_size": 64, "num_attention_heads": 2, "max_position_embeddings": 32},
    "llama": {**SIZES, "intermediate_size": 64, "num_attention_heads": 2, "max_position_embeddings": 32},
    "lstm": SIZES,
}


def examples(count: int, seed: int) -> list[LabelledText]:
    """ "the" and 12 to 24 words; "broken" is among those of half of the texts, which are the bad ones."""
    dice = np.random.default_rng(seed)
    found = []
    for number in range(count):
        words = dice.choice(WORDS, dice.integers(12, 25)).tolist()
        if number % 2:
            words[dice.integers(len(words))] = KEYWORD
        found.append(LabelledText(" ".join(["the", *words]), labels=("bad" if number % 2 else "good",), id=str(number)))
    return found


def tokenizer() -> Tokenizer:
    return train_tokenizer(TokenizerConfig(kind="word", vocab_size="auto"), [" ".join(["the", *WORDS, KEYWORD])] * 3)


def taught(name: str) -> Bundle:
    """A tiny model that has learnt the keyword."""
    torch.manual_seed(0)
    cutter = tokenizer()
    task = TextClassification(TextClassificationConfig(labels=("bad", "good")), cutter)
    chosen = family(name)
    body = chosen.build(chosen.config(vocab_size=cutter.vocab_size, **MODELS[name]))
    headed = task.trained(body).train()
    rows = task.rows(examples(4096, 0), 32)
    optimizer = torch.optim.AdamW(headed.parameters(), lr=5e-3)
    for step in range(64):
        batch = task.batch(Draw.at(rows, np.arange(64) + 64 * step))
        found = task.loss(headed, batch)
        optimizer.zero_grad()
        (found.sum / found.count).backward()
        optimizer.step()
        if found.sum.item() / found.count < 0.01:
            break
    headed.eval()
    answers = task.answer(headed, examples(64, 1), 32)
    assert [answer.chosen[0] for answer in answers] == [1, 0] * 32, "the keyword was learnt"
    return Bundle(headed, cutter, task, body.config, Path("taught"))


@pytest.fixture(scope="module", params=["bert", "llama", "lstm", "linear"])
def explainer(request: pytest.FixtureRequest) -> Explainer:
    if request.param == "linear":
        return Explainer(Stored(fitted_svm(examples(256, 0)), "digest"))
    return Explainer(taught(request.param))


def methods_of(explainer: Explainer) -> list[str]:
    is_linear = isinstance(explainer.model, Stored)
    has_attention = not is_linear and "lstm" not in type(explainer.model.model.body).__name__.lower()  # type: ignore[union-attr]
    kinds = {"model", *(["weights"] if is_linear else ["gradient"]), *(["attention"] if has_attention else [])}
    return [method.name for method in METHODS if method.needs in kinds]


def test_the_keyword_is_first_and_the_explanation_valid(explainer: Explainer) -> None:
    found = explain(explainer, LONG)
    assert found.told.target == "bad"
    best = max(found.attributions, key=lambda each: each.attribution or 0)
    assert best.text == KEYWORD
    assert found.certificate.verdict == "valid", found.certificate.reasons


def test_the_true_rationale_beats_random_orders(explainer: Explainer) -> None:
    subject = explainer.subject(Record(LONG, "text"), ExplainConfig())
    units = units_of(subject.parts, subject.pieces, "word")
    rationale = np.array([float(LONG[unit.start : unit.end] == KEYWORD) for unit in units])
    found = faithfulness(subject, units, rationale, orders=200)
    # One random order in 25 begins with the keyword, too, and then is as good.
    assert found.comprehensiveness.value > found.comprehensiveness.random_high - 1e-3
    assert found.is_faithful


def test_a_random_explainer_is_rejected(explainer: Explainer) -> None:
    subject = explainer.subject(Record(TEXT, "text"), ExplainConfig())
    units = units_of(subject.parts, subject.pieces, "word")
    dice = np.random.default_rng(3)
    chance = replace(METHODS[0], attribute=lambda *_: Attribution(dice.normal(size=len(units))))
    verdicts = [
        certified(
            subject,
            units,
            chance,
            chance.attribute(subject, units, EffortConfig()),
            EffortConfig(),
            unit="word",
            orders=40,
            randomisations=0,
        ).verdict
        for _ in range(10)
    ]
    assert verdicts.count("unfaithful") >= 8


def test_what_speaks_for_one_label_speaks_against_the_other(explainer: Explainer) -> None:
    for method in methods_of(explainer):
        if method.startswith("attention"):
            continue  # which looks, and takes no side
        one, other = (
            explain(explainer, TEXT, [f"method={method}", f"target={a}", f"against={b}", "randomisations=0"])
            for a, b in (("bad", "good"), ("good", "bad"))
        )
        ours, theirs = ([each.attribution or 0.0 for each in found.attributions] for found in (one, other))
        np.testing.assert_allclose(ours, [-amount for amount in theirs], atol=1e-6)


def test_every_method_that_suits_the_model_explains_it(explainer: Explainer) -> None:
    for method in methods_of(explainer):
        found = explain(explainer, TEXT, [f"method={method}", "randomisations=0"])
        assert found.certificate.method == method
        assert len(found.attributions) == 13


def test_methods_that_do_not_suit_are_refused_with_what_does(explainer: Explainer) -> None:
    others = {method.name for method in METHODS} - set(methods_of(explainer))
    for method in others:
        with pytest.raises(UsageError, match=r"no linear model|linear model, whose|no attention"):
            explain(explainer, TEXT, [f"method={method}"])


def test_json_holds_all_that_was_found(explainer: Explainer) -> None:
    found = explain(explainer, TEXT).as_json()
    certificate = found["certificate"]
    assert found["prediction"] == "bad"
    assert {"verdict", "completeness_error", "comprehensiveness", "sufficiency", "randomisation"} <= certificate.keys()
    total = sum(each["attribution"] for each in found["attributions"]) + sum(
        e["attribution"] for e in found["elsewhere"]
    )
    difference = certificate["value"] - certificate["base"]
    assert abs(total - difference) / abs(difference) == pytest.approx(certificate["completeness_error"], abs=1e-5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["target=awful"], r"target='awful': the model knows no such"),
        (["target=bad", "against=bad"], "target and against are the same"),
        (["method=oclusion"], r"method: no method 'oclusion'; did you mean occlusion"),
        (["steps=4"], r"steps=4: no setting of an explanation"),
        (["methods=occlusion"], r"methods: no setting of an explanation; did you mean method"),
    ],
)
def test_what_cannot_be_asked_is_named(explainer: Explainer, overrides: list[str], message: str) -> None:
    with pytest.raises(WenluError, match=message):
        explain(explainer, TEXT, overrides)


def test_zeros_are_refused_before_a_root_mean_square_norm() -> None:
    with pytest.raises(UsageError, match=r"divides by the length of its vectors \(RMSNorm\)"):
        explain(Explainer(taught("llama")), TEXT, ["baseline=zero"])
