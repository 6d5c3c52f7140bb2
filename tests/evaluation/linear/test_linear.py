"""Linear models of texts: what they learn, what they say of themselves, and what is stored."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import FeatureUnion
from sklearn.svm import LinearSVC

from wenlu import models
from wenlu.config import check
from wenlu.errors import ConfigError, DataError, WeightsError
from wenlu.evaluation.linear import learners, stored
from wenlu.evaluation.linear.dense import Encoded
from wenlu.evaluation.linear.explain import explain, strongest
from wenlu.evaluation.linear.features import Features
from wenlu.evaluation.linear.groups import Item
from wenlu.evaluation.linear.learners import Learner, log_count_ratio
from wenlu.evaluation.linear.predictor import LinearModel, calibrated, fitted, item_of, targets_of
from wenlu.evaluation.linear.settings import FeaturesConfig
from wenlu.lifecycle.model_folder import write_model_folder
from wenlu.tasks.grades.settings import GradingConfig, ScoredText
from wenlu.tasks.grading import Grading
from wenlu.tasks.text_classification import LabelledText, TextClassification, TextClassificationConfig
from wenlu.tokenizers import TokenizerConfig, train_tokenizer

TEXTS = [
    ("win free cash now", "spam"),
    ("free prize, win it", "spam"),
    ("cash for you, free", "spam"),
    ("meet me for lunch", "ham"),
    ("notes of the lunch meeting", "ham"),
    ("see you at the meeting", "ham"),
    ("win the race", "ham"),
    ("a free lunch", "ham"),
]
EXAMPLES = [LabelledText(text, None, (label,), str(n)) for n, (text, label) in enumerate(TEXTS)]


def classification(*labels: str, **settings: Any) -> TextClassification:
    return TextClassification(
        TextClassificationConfig(labels=labels or ("ham", "spam"), **settings), stored.no_tokenizer()
    )


def trained(
    learner: Learner, task: Any, examples: Sequence[Any], config: FeaturesConfig | None = None, strength: float = 1.0
) -> LinearModel:
    features, rows = Features.fit(config or FeaturesConfig(fewest_texts=1), [item_of(each) for each in examples])
    return fitted(learner, task, features, rows, targets_of(task, examples), strength)


ALL = [*learners.CLASSIFIERS, learners.PRIOR]


def test_features_are_those_of_scikit_learn() -> None:
    texts = [text for text, _ in TEXTS]
    _, rows = Features.fit(FeaturesConfig(), [Item(text) for text in texts])
    union = FeatureUnion(
        [
            ("words", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)),
            ("characters", TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)),
        ]
    )
    np.testing.assert_allclose(rows.toarray(), union.fit_transform(texts).toarray())


def test_the_models_are_those_of_scikit_learn() -> None:
    task, holds = classification(), np.array([[label == "ham", label == "spam"] for _, label in TEXTS])
    features, rows = Features.fit(FeaturesConfig(fewest_texts=1), [Item(text) for text, _ in TEXTS])
    exact = {"tol": 1e-8, "max_iter": 100_000}
    svm = LinearSVC(C=1.0, dual=True, **exact).fit(rows, holds[:, 1]).decision_function(rows)
    logistic = LogisticRegression(C=10.0, **exact).fit(rows, holds[:, 1]).predict_proba(rows)
    ours = {name: next(each for each in ALL if each.name == name) for name in ("linear-svm", "logistic-regression")}
    model = fitted(ours["linear-svm"], task, features, rows, holds.astype(float), 1.0)
    scores = model.weights.scores(rows)
    np.testing.assert_allclose(scores[:, 1] - scores[:, 0], svm, atol=0.03)
    model = fitted(ours["logistic-regression"], task, features, rows, holds.astype(float), 10.0)
    found = [answer.probabilities for answer in model.answer(EXAMPLES)]
    np.testing.assert_allclose(found, logistic, atol=0.06)  # liblinear penalises the bias, too


def test_the_log_count_ratio_is_that_of_the_paper() -> None:
    """Two texts with the label hold a, b and a; one without holds b: p = (3, 2), q = (1, 2)."""
    present = csr_matrix(np.array([[1, 1], [1, 0], [0, 1]]))
    found = log_count_ratio(present, np.array([True, True, False]))
    np.testing.assert_allclose(found, [math.log((3 / 5) / (1 / 3)), math.log((2 / 5) / (2 / 3))])


def test_nb_svm_weighs_a_word_by_its_ratio() -> None:
    present = csr_matrix(np.array([[1, 1], [1, 0], [0, 1], [0, 1]]))
    is_it = np.array([True, True, False, False])
    ratio = log_count_ratio(present, is_it)
    svm = LinearSVC(C=1.0, tol=1e-2, dual=True, random_state=0).fit(present.multiply(ratio).tocsr(), is_it)
    mean = (abs(svm.coef_[0][0]) + abs(svm.coef_[0][1])) / 2
    by_hand = [(0.75 * mean + 0.25 * svm.coef_[0][j]) * ratio[j] for j in (0, 1)]
    weights = learners.fit_nb_svm(present * 0.3, np.stack([~is_it, is_it], axis=1), 1.0, False)
    np.testing.assert_allclose(2 * weights.weights[1], by_hand, rtol=1e-6)
    assert weights.reads == "presence"


@pytest.mark.parametrize("learner", ALL, ids=lambda each: each.name)
@pytest.mark.parametrize("labels", [("ham", "spam"), ("ham", "none", "spam")])
def test_a_score_is_the_sum_of_what_its_features_add(learner: Learner, labels: tuple[str, ...]) -> None:
    model = trained(learner, classification(*labels), EXAMPLES)
    item = item_of(EXAMPLES[0])
    scores = model.weights.scores(model.features.rows([item]))[0]
    for explained, score in zip(explain(model, item), scores, strict=True):
        assert explained.score == score
        assert math.fsum(part.amount for part in explained.parts) == pytest.approx(score - explained.bias, abs=1e-12)


def test_it_names_the_words_that_speak_for_a_label() -> None:
    model = trained(learners.CLASSIFIERS[0], classification(), EXAMPLES)
    found = strongest(model, 3)
    assert found["spam"][0][0] == "cash"
    assert "lunch" in [word for word, _ in found["ham"]]


@pytest.mark.parametrize("learner", learners.CLASSIFIERS, ids=lambda each: each.name)
def test_it_learns_what_decides(learner: Learner) -> None:
    strength = 300.0 if learner.name == "bag-of-ngrams" else 1.0  # epochs
    model = trained(learner, classification(), EXAMPLES, strength=strength)
    answers = model.answer([LabelledText("cash, free"), LabelledText("lunch meeting")])
    assert [model.task.told(answer)["prediction"] for answer in answers] == ["spam", "ham"]


def test_the_prior_answers_the_share_of_each_label() -> None:
    model = trained(learners.PRIOR, classification(), EXAMPLES)
    assert model.answer([LabelledText("?")])[0].probabilities == pytest.approx((5 / 8, 3 / 8))


def test_several_labels_may_hold() -> None:
    task = classification("a", "b", several=True)
    examples = [LabelledText("x y", None, ("a", "b")), LabelledText("x", None, ("a",)), LabelledText("y", None, ("b",))]
    examples += [LabelledText("z", None, ())] * 2
    config = FeaturesConfig(fewest_texts=1, words="none", characters=(1, 1))
    model = trained(learners.CLASSIFIERS[0], task, examples, config, strength=10.0)
    assert [answer.chosen for answer in model.answer(examples)] == [(0, 1), (0,), (1,), (), ()]


def test_a_label_that_no_text_has_is_never_chosen() -> None:
    model = trained(learners.CLASSIFIERS[0], classification("eggs", "ham", "spam"), EXAMPLES)
    assert all(answer.chosen != (0,) for answer in model.answer(EXAMPLES))


def test_chinese_words_are_cut() -> None:
    texts = [("酒店的服务非常好", "good"), ("服务非常热情", "good"), ("房间很脏", "bad"), ("房间太脏了", "bad")]
    examples = [LabelledText(text, None, (label,)) for text, label in texts]
    config = FeaturesConfig(fewest_texts=1, characters="none", word_ngrams=(1, 1), stop_words="zh")
    model = trained(learners.CLASSIFIERS[0], classification("bad", "good"), examples, config)
    assert model.features.config.words == "cut"
    names = {name for _, name in model.features.names}
    assert {"服务", "房间"} <= names
    assert "的" not in names  # a stop word
    assert [model.task.told(answer)["prediction"] for answer in model.answer([LabelledText("服务")])] == ["good"]


def test_stems_and_stop_words_are_options() -> None:
    config = FeaturesConfig(fewest_texts=1, characters="none", word_ngrams=(1, 1), stem="en", stop_words="en")
    features, _ = Features.fit(config, [Item("the meetings were quiet"), Item("meeting")])
    assert [name for _, name in features.names] == ["meet", "quiet"]


def test_columns_are_features() -> None:
    items = [Item("x y", {"stars": str(n), "shop": shop}) for n, shop in enumerate(["a", "b", "a", "b"])]
    config = FeaturesConfig(fewest_texts=1, characters="none", words="none", numbers=("stars",), categories=("shop",))
    features, rows = Features.fit(config, items)
    assert features.names == [("numbers", "stars"), ("categories", "shop=a"), ("categories", "shop=b")]
    spread = math.sqrt(1.25)
    np.testing.assert_allclose(rows.toarray()[0], [-1.5 / spread, 1, 0])
    np.testing.assert_allclose(features.rows([Item("x", {"shop": "new"})]).toarray(), [[0, 0, 0]])
    with pytest.raises(DataError, match=r"features\.numbers: 'stars' holds 'many', no number; name it in"):
        features.rows([Item("x", {"stars": "many"})])


def test_scores_are_graded_by_ridge_regression() -> None:
    task = Grading(GradingConfig(scale=((0.0, 4.0),), step=0), stored.no_tokenizer())  # type: ignore[arg-type]
    examples = [ScoredText("good " * n + "bad " * (4 - n), (float(n),)) for n in range(5)]
    model = trained(learners.GRADERS[0], task, examples)
    rows = model.features.rows([item_of(each) for each in examples])
    reference = Ridge(alpha=1.0).fit(rows, task.shares(examples)[:, 0]).predict(rows)
    found = [graded.expected[0] for graded in model.answer(examples)]
    np.testing.assert_allclose(found, 4 * np.clip(reference, 0, 1), atol=1e-4)
    mean = trained(learners.MEAN, task, examples).answer(examples[:1])
    assert mean[0].scores == (2.0,)


def test_a_bag_answers_the_mean_of_what_its_ngrams_say() -> None:
    rows = csr_matrix(np.array([[0.5, 0.7, 0.0], [0.0, 0.0, 0.0]]))
    weights = learners.Weights(np.array([[1.0, 3.0, 100.0]]), np.array([0.25]), "mean")
    np.testing.assert_allclose(weights.scores(rows), [[2.25], [0.25]])


def test_a_bag_that_is_kept_as_weights_says_what_its_vectors_said() -> None:
    """The loss falls to nothing only where the product of vectors and layer is what was trained."""
    rows = csr_matrix(np.eye(4))
    shares = np.array([[0.1], [0.9], [0.4], [0.6]])
    weights = learners.GRADERS[1].fit(rows, shares, 300.0, False)
    np.testing.assert_allclose(weights.scores(rows), shares, atol=0.02)


@pytest.mark.parametrize("learner", ALL, ids=lambda each: each.name)
def test_a_stored_model_says_the_same(learner: Learner, tmp_path: Path) -> None:
    model = trained(learner, classification(), EXAMPLES)
    stored.save_linear(tmp_path, model)
    again = stored.load_linear(tmp_path)
    assert again.answer(EXAMPLES) == model.answer(EXAMPLES)
    assert again.features.names == model.features.names


def test_a_file_with_another_type_or_damage_is_refused(tmp_path: Path) -> None:
    import skops.io

    model = trained(learners.CLASSIFIERS[0], classification(), EXAMPLES)
    stored.save_linear(tmp_path, model)
    (tmp_path / stored.FILE).write_bytes(skops.io.dumps({"weights": Path("x"), "run": zipfile.ZipFile}))
    with pytest.raises(WeightsError, match="which no model of ours does; refused"):
        stored.load_linear(tmp_path)
    (tmp_path / stored.FILE).write_bytes(b"PK")
    with pytest.raises(WeightsError, match=r"linear\.skops: damaged .*; fit it again"):
        stored.load_linear(tmp_path)


def test_held_out_rows_tell_the_temperature() -> None:
    """With scores ±a and a share right of them, T = a / ln(share / (1 - share))."""
    task = classification()
    features, rows = Features.fit(FeaturesConfig(fewest_texts=1), [Item("one two"), Item("three")])
    weights = learners.Weights(np.zeros((2, rows.shape[1])), np.array([-2.0, 2.0]))
    held_out = csr_matrix((40, rows.shape[1]))
    holds = np.array([[0, 1]] * 30 + [[1, 0]] * 10, float)
    found = calibrated(LinearModel(task, features, weights), held_out, holds)
    assert isinstance(found.task, TextClassification)
    assert found.task.config.temperature == pytest.approx(4 / math.log(3), abs=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"characters": "none", "words": "none"}, "there is no other group; keep one"),
        ({"word_ngrams": [3, 1]}, r"word_ngrams: from 3 to 1 is nothing; write \[FEWEST, MOST\]"),
        ({"stem": "eng"}, "no stemmer for 'eng'; did you mean"),
        ({"stop_words": "english"}, "'english' is not a language code"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(FeaturesConfig, settings, where="[features]")


def test_terms_that_stand_nowhere_twice_are_told() -> None:
    with pytest.raises(DataError, match=r"features\.words: no term stands in 2 of 2 training texts; lower"):
        Features.fit(FeaturesConfig(), [Item("aa"), Item("bb")])


def test_word_vectors_are_a_group_by_their_mean(tmp_path: Path) -> None:
    (tmp_path / "words.vec").write_text("2 2\nfree 3.0 0.0\nlunch 0.0 4.0\n")
    config = FeaturesConfig(words="none", characters="none", vectors=str(tmp_path / "words.vec"))
    features, rows = Features.fit(config, [Item("Free lunch, unknown"), Item("free"), Item("nothing")])
    np.testing.assert_allclose(rows.toarray(), [[0.6, 0.8], [1, 0], [0, 0]], atol=1e-6)
    assert [group for group, _ in features.names] == ["vectors", "vectors"]


def test_an_encoder_is_a_group_by_its_mean_hidden_state(tmp_path: Path) -> None:
    """In batches as alone: padding does not count."""
    tokenizer = train_tokenizer(TokenizerConfig(kind="char", vocab_size="auto"), iter(["abc def"]))
    family = models.family("bert")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = check(family.config, {**sizes, "vocab_size": tokenizer.vocab_size}, where="test")
    torch.manual_seed(0)
    model = family.build(config)
    write_model_folder(tmp_path, model, family, tokenizer, generation={}, card="")
    texts = ["abc", "a", "def abc", ""]
    group = Encoded(str(tmp_path), 32)
    together = group.rows([Item(text) for text in texts]).toarray()
    alone = np.concatenate([group.rows([Item(text)]).toarray() for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert len(group.names) == together.shape[1] == 16
    np.testing.assert_allclose(np.linalg.norm(together[0]), 1.0)
