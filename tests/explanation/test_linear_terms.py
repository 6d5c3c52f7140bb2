"""A linear model's terms find their places in the text, and none is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.explanation.subjects import fitted_svm

from wenlu.corpus.record import Record
from wenlu.evaluation.linear.groups import Item
from wenlu.evaluation.linear.prediction import Stored
from wenlu.explanation.explain import Explainer, explain
from wenlu.explanation.linear import LinearSubject
from wenlu.explanation.settings import ExplainConfig
from wenlu.explanation.term_places import occurrences
from wenlu.tasks.text_classification import LabelledText

ENGLISH = ["The room was Clean, and quiet.", "dirty room; the staff were rude!", "CLEAN bed", "a rude, dirty hotel İ"]
CHINESE = ["房间很干净，服务热情。", "服务太差了，再也不来！", "早餐很好 clean", "前台态度差，房间脏"]
WAYS: dict[str, dict[str, Any]] = {
    "words and characters": {},
    "words": {"characters": "none"},
    "characters": {"words": "none"},
    "stems": {"characters": "none", "stem": "en"},
    "without stop words": {"characters": "none", "stop_words": "en"},
}


def explainer(texts: list[str], **features: Any) -> Explainer:
    examples = [
        LabelledText(text, labels=("good" if number % 2 == 0 else "bad",), id=str(number))
        for number, text in enumerate(texts)
    ]
    return Explainer(Stored(fitted_svm(examples, **features), "digest"))


def subject(explainer: Explainer, text: str) -> LinearSubject:
    found = explainer.subject(Record(text, "text"), ExplainConfig())
    assert isinstance(found, LinearSubject)
    return found


@pytest.mark.parametrize("texts", [ENGLISH, CHINESE], ids=["english", "chinese"])
@pytest.mark.parametrize("way", WAYS)
def test_terms_are_the_score_and_all_have_a_place(way: str, texts: list[str]) -> None:
    asked = explainer(texts, **WAYS[way])
    for text in texts:
        terms = subject(asked, text).terms()
        assert not terms.elsewhere
        assert terms.amounts.sum() == pytest.approx(terms.difference, abs=1e-9)
        found = explain(asked, text, ["randomisations=0"])
        assert (found.certificate.completeness_error or 0) < 1e-6
        bias = subject(asked, text).model.weights.bias[subject(asked, text).model.outputs.index(found.told.target)]
        assert found.certificate.base == pytest.approx(bias)


@given(text=st.text(alphabet="ab İßΣ房间，。\n👍", max_size=30))
def test_whatever_the_text_nothing_of_the_score_is_lost(text: str) -> None:
    terms = subject(ASKED, text).terms()
    rest = sum(amount for _, amount in terms.elsewhere)
    assert terms.amounts.sum() + rest == pytest.approx(terms.difference, abs=1e-9)


ASKED = explainer(["ab 房间 İß", "ba 间房 Σab", "a b 👍", "房 间，b"])


@pytest.mark.parametrize("texts", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_places_hold_what_the_vectoriser_counts(texts: list[str]) -> None:
    model = explainer(texts).model
    assert isinstance(model, Stored)
    features = model.model.features
    for group in features.groups:
        for text in texts:
            places = occurrences(group, features, text)  # type: ignore[arg-type]
            counted = {group.names[place] for place in group.rows([features.prepared(Item(text))]).indices}
            assert counted <= places.keys()
            for term in counted:
                assert all(0 <= start < end <= len(text) for start, end in places[term])


def test_a_word_has_the_weight_of_its_own_term() -> None:
    asked = subject(explainer(["good bed", "bad bed"], characters="none", word_ngrams=(1, 1)), "good bed")
    terms = asked.terms()
    words = asked.model.features.rows([asked.item]).toarray()[0] * (asked.towards @ asked.model.weights.weights)
    by_name = dict(zip([name for _, name in asked.model.features.names], words, strict=True))
    np.testing.assert_allclose(terms.amounts, [by_name["good"], by_name["bed"]])


def test_columns_are_told_by_their_name() -> None:
    # a number is part of the score, but stands nowhere in the text
    from wenlu.evaluation.linear.features import Features
    from wenlu.evaluation.linear.groups import Numbers

    asked = subject(explainer(ENGLISH), ENGLISH[0])
    model = asked.model
    numbers = Numbers(("stars",), np.zeros(1), np.ones(1))
    weights = model.weights
    wider = type(weights)(np.hstack([weights.weights, [[0.5], [-0.5]]]), weights.bias)
    features = Features(
        model.features.config.model_copy(update={"numbers": ("stars",)}), (*model.features.groups, numbers)
    )
    item = Item(asked.item.text, {"stars": "2"})
    terms = type(asked)(
        type(model)(model.task, features, wider), item, asked.towards, asked.column, asked.told, asked.parts,
        asked.pieces, "",
    ).terms()  # fmt: skip
    assert dict(terms.elsewhere) == {"numbers: stars": pytest.approx(float(2 * (asked.towards @ [0.5, -0.5])))}
