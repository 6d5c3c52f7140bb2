"""Contrast by hand: losses, what counts as a negative, prefixes of vectors, places, and bad records."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.tiny import ENGLISH, SIZES, NewTokenizer

from wenlu.corpus.record import Record
from wenlu.errors import ConfigError, DataError, UsageError
from wenlu.metrics import recall_at
from wenlu.models import family
from wenlu.tasks import Embedding, load_task, read_settings
from wenlu.tasks.embedding import EmbeddingConfig, contrast
from wenlu.tasks.labelled.headed import Headed
from wenlu.tasks.labelled.matching import Candidates, Embedded, Match, Matches, places
from wenlu.tasks.task import Draw

E = math.e
EXAMPLES = (
    Match("where did the cat sit?", "on the mat", ("on the log", "it didn't move")),
    Match("where did the dog sit?", "on the log"),
    Match("where did the cat sit?", "the cat sat on the mat"),
    Match("and the partridge?", "on the mat"),
)


def settings(**own: Any) -> EmbeddingConfig:
    config = read_settings({"name": "embedding", **own})
    assert isinstance(config, EmbeddingConfig)
    return config


@pytest.fixture
def new_task(new_tokenizer: NewTokenizer) -> Any:
    return lambda **own: Embedding(settings(**own), new_tokenizer())


def tiny(task: Embedding) -> Headed:
    sizes = {key: value for key, value in SIZES.items() if key in family("bert").config.model_fields}
    config = family("bert").config(vocab_size=task.tokenizer.vocab_size, **sizes)
    model = task.trained(family("bert").build(config, dtype=torch.float64).eval())
    assert isinstance(model, Headed)
    return model.eval()


def test_the_loss_is_the_cross_entropy_of_choosing_the_own_passage_among_all() -> None:
    similar = torch.tensor([[2.0, 1.0, 0.0], [1.0, 0.0, 1.0]])  # the third passage is nobody's own
    nats, right = contrast(similar, torch.tensor([[0, 0, 2], [1, 1, -1]]), symmetric=False)
    expected = -math.log(E**2 / (E**2 + E + 1)) - math.log(1 / (E + 1 + E))
    assert nats.item() == pytest.approx(expected, rel=1e-6)
    assert right == 1


def test_symmetric_is_the_mean_of_both_directions() -> None:
    similar = torch.tensor([[2.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    nats, _ = contrast(similar, torch.tensor([[0, 0, 2], [1, 1, -1]]), symmetric=True)
    forwards = -math.log(E**2 / (E**2 + E + 1)) - math.log(1 / (E + 1 + E))
    backwards = -math.log(E**2 / (E**2 + E)) - math.log(1 / (1 + E))
    assert nats.item() == pytest.approx((forwards + backwards) / 2, rel=1e-6)


def test_what_belongs_to_an_equal_anchor_is_no_negative() -> None:
    similar = torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    labels = torch.tensor([[0, 0], [0, 1], [1, 2]])  # the first two anchors are one text
    nats, _ = contrast(similar, labels, symmetric=False)
    expected = -math.log(E**2 / (E**2 + 1)) - math.log(E / (E + 1)) - math.log(E / (2 + E))
    assert nats.item() == pytest.approx(expected, rel=1e-6)
    both, _ = contrast(similar, labels, symmetric=True)
    backwards = -math.log(E**2 / (E**2 + 1)) - math.log(E / (E + 1)) - math.log(E / (2 + E))
    assert both.item() == pytest.approx((expected + backwards) / 2, rel=1e-6)


def test_an_anchor_does_not_compete_for_a_passage_that_it_has_too() -> None:
    similar = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    labels = torch.tensor([[0, 0], [1, 0], [2, 1]])  # the first two share a passage
    both, _ = contrast(similar, labels, symmetric=True)
    forwards = -math.log(E / (E + 1)) - math.log(E**3 / (E**3 + 1)) - math.log(E / (1 + E))
    backwards = -math.log(E / (E + 1)) - math.log(E**3 / (E**3 + 1)) - math.log(E / (2 + E))
    assert both.item() == pytest.approx((forwards + backwards) / 2, rel=1e-6)


def test_each_text_stands_in_a_batch_once(new_task: Any) -> None:
    task = new_task()
    source = task.rows(EXAMPLES, 32)
    assert isinstance(source, Matches)
    batch = task.batch(Draw.at(source, np.array([3, 0, 1])))
    assert batch.labels is not None
    assert len(batch.targets) == 3  # on the mat, on the log, it didn't move
    assert batch.labels[0, 1] == batch.labels[1, 1]
    assert batch.labels[1, 2] == batch.labels[2, 1]
    assert batch.labels[:, 2:].tolist()[0] == [-1, -1]
    texts = [task.tokenizer.decode([i for i in row if i >= 0]) for row in batch.targets.tolist()]
    assert [text.strip() for text in texts] == ["on the mat", "on the log", "it didn't move"]


@pytest.mark.parametrize("own", [{}, {"dimensions": [4, 16]}, {"normalise": False, "temperature": 2.0}])
def test_the_loss_is_that_of_the_vectors_summed_over_their_prefixes(new_task: Any, own: Any) -> None:
    task = new_task(**own)
    model = tiny(task)
    loss = task.loss(model, task.batch(Draw.at(task.rows(EXAMPLES, 32), np.arange(4))))
    expected = 0.0
    temperature = own.get("temperature", 0.05)
    anchors = [example.anchor for example in EXAMPLES]
    texts = sorted({text for each in EXAMPLES for text in (str(each.positive), *each.negatives)})
    for size in (*own.get("dimensions", ()), None):
        a, p = (task.embed(model, texts, size) for texts in (anchors, texts))
        for example, vector in zip(EXAMPLES, a, strict=True):
            others = {each.positive for each in EXAMPLES if each.anchor == example.anchor} - {example.positive}
            terms = {
                text: math.exp(vector @ q / temperature) for text, q in zip(texts, p, strict=True) if text not in others
            }
            expected -= math.log(terms[str(example.positive)] / sum(terms.values()))
    assert loss.sum.item() == pytest.approx(expected, rel=1e-9)
    assert loss.count == 4


def test_a_prefix_of_a_vector_is_of_length_one_again(new_task: Any) -> None:
    task = new_task()
    model = tiny(task)
    whole, short = (task.embed(model, ENGLISH[:3], size) for size in (None, 8))
    assert whole.shape == (3, 32)
    assert np.linalg.norm(whole, axis=1) == pytest.approx(np.ones(3))
    expected = whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1)[:, None]
    np.testing.assert_allclose(short, expected, rtol=1e-12)
    with pytest.raises(UsageError, match="dimensions=33: the vectors have 32 numbers"):
        task.embed(model, ["a"], 33)
    with pytest.raises(ConfigError, match=r"task\.dimensions: 64 is more than the 32 numbers of a vector"):
        tiny(new_task(dimensions=[64]))


def test_a_projection_is_kept_with_the_model(new_task: Any, tmp_path: Path) -> None:
    task = new_task(projection=5)
    model = tiny(task)
    vectors = task.embed(model, ENGLISH[:2])
    assert vectors.shape == (2, 5)
    task.save(tmp_path, model, family("bert"))
    again = load_task(tmp_path, task.tokenizer)
    assert isinstance(again, Embedding)
    np.testing.assert_allclose(again.embed(model.body, ENGLISH[:2]), vectors, rtol=1e-12)


def test_a_place_is_one_and_how_many_others_are_more_similar() -> None:
    rng = np.random.default_rng(3)
    examples = [Match(f"q{rng.integers(20)}", f"p{rng.integers(15)}") for _ in range(60)]
    candidates = Candidates.of(examples)
    table = {(a, p): rng.random() for a in {e.anchor for e in examples} for p in candidates.texts}

    def similar(rows: Any) -> Any:
        return np.array([[table[examples[row].anchor, text] for text in candidates.texts] for row in rows])

    ranks, similarities = places(similar, candidates)
    for example, rank, similarity in zip(examples, ranks, similarities, strict=True):
        own = table[example.anchor, str(example.positive)]
        right = {each.positive for each in examples if each.anchor == example.anchor}
        assert similarity == own
        assert rank == 1 + sum(table[example.anchor, text] > own for text in candidates.texts if text not in right)


@pytest.mark.parametrize("value", [0.5, math.nan])
def test_a_model_to_which_all_texts_are_alike_is_not_perfect(value: float) -> None:
    candidates = Candidates.of([Match(f"q{n}", f"p{n}") for n in range(40)])
    ranks, _ = places(lambda rows: np.full((len(rows), 40), value), candidates)
    found = recall_at(1).compute({"ranks": np.array(ranks, float)})
    assert found == (0.0 if math.isnan(value) else 1 / 40)


def test_scored_pairs_are_judged_by_their_similarity_and_only_those_that_belong_by_rank(new_task: Any) -> None:
    task = new_task(columns={"score": "score"})
    examples = [Match("a", "b", score=4.5), Match("c", "d", score=1.0), Match("e", "f", score=3.0)]
    answers = [Embedded(np.zeros(2), rank, sim) for rank, sim in ((1, 0.9), (3, 0.8), (2, 0.1))]
    columns = task.judged(examples, answers)
    values = {metric.name: metric.compute(columns) for metric in task.measures()}
    assert next(iter(values)) == "spearman"
    assert values["spearman"] == pytest.approx(0.5)  # ranks 3 1 2 and 3 2 1
    assert values["recall_at_1"] == 0.5
    assert values["mrr"] == 0.75
    assert values["ndcg_at_10"] == pytest.approx((1 + 1 / math.log2(3)) / 2)


def test_pairs_that_do_not_belong_together_are_not_learnt() -> None:
    with pytest.raises(DataError, match=r"b:2: score 1 says that the two do not belong together, .*data\.test"):
        settings().learnt([Match("a", "b", score=4.0), Match("c", "d", score=1.0, id="b:2")])
    with pytest.raises(DataError, match="b:1: no 'positive', which positive is read from"):
        settings().learnt([Match("a", id="b:1")])


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"positive": " "}, "b:1: an empty 'positive'"),
        ({"positive": "p", "negative": "[1]"}, "b:1: negatives .* give a text or a list of texts"),
        ({"positive": "p", "score": "7"}, "b:1: score 7 is no number from 0 to 5"),
        ({"positive": "p", "score": "much"}, "b:1: 'score' is 'much', not JSON"),
    ],
)
def test_records_that_are_no_examples_say_why(meta: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Embedding.example_of(Record("a", "b:1", meta), settings())


def test_a_negative_is_a_text_or_a_list() -> None:
    for given, expected in (("n", ("n",)), ('["n", "m", "n"]', ("n", "m")), ("[sic] n", ("[sic] n",)), ("", ())):
        record = Record("a", "b:1", {"positive": "p", "negative": given})
        assert Embedding.example_of(record, settings()).negatives == expected
