"""Matching texts and pictures: the losses by hand, where the bias begins, what counts as a match, names of pictures."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.labelled import BLACK, BLUE, GREEN, RED, WHITE, NewTokenizer, painted

from wenlu.corpus.pictures.picture import BadPicture
from wenlu.corpus.pictures.sight import Shown
from wenlu.corpus.record import Record
from wenlu.corpus.source import SourceSpec
from wenlu.errors import ConfigError, DataError
from wenlu.metrics import recall_at
from wenlu.models import family
from wenlu.models.layers.dual_encoder import DualEncoder
from wenlu.models.siglip import Siglip
from wenlu.tasks import ImageTextRetrieval, new_task, read_settings
from wenlu.tasks.image_text_retrieval import pairwise
from wenlu.tasks.pictured.task import Pictured, new_processing, shuffled
from wenlu.tasks.task import Draw

SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
}
CONTEXT = 16


@pytest.fixture
def made(new_tokenizer: NewTokenizer) -> Any:
    def make(name: str = "siglip", **settings: Any) -> tuple[ImageTextRetrieval, DualEncoder]:
        tokenizer, chosen = new_tokenizer(), family(name)
        task = new_task(
            read_settings({"name": "image-text-retrieval", **settings}).made_for(chosen, CONTEXT), tokenizer
        )  # type: ignore[attr-defined]
        assert isinstance(task, ImageTextRetrieval)
        needed = task.config.new_model_settings(tokenizer)
        config = chosen.config(vocab_size=tokenizer.vocab_size, eos_token_id=tokenizer.eos_id, **SIZES, **needed)
        torch.manual_seed(0)
        model = chosen.build(config, dtype=torch.float64)
        assert isinstance(model, DualEncoder)
        task = task.with_sight(task.sight_of(new_processing(chosen, config)))
        return task, model

    return make


def example(text: str | None, url: str) -> Pictured:
    return Pictured(Shown.at(url), text, "small")


def test_the_sigmoid_loss_is_that_of_every_pair_by_itself() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0], [1.0, -2.0]], dtype=torch.float64)
    labels = torch.tensor([[0, 0], [1, 1], [0, 1]])  # the first and the last text are equal: both belong to both
    signs = [[1, 1], [-1, 1], [1, 1]]
    by_hand = sum(
        math.log1p(math.exp(-sign * logit))
        for row, signs_of in zip(logits.tolist(), signs, strict=True)
        for logit, sign in zip(row, signs_of, strict=True)
    )
    total, right = pairwise(logits, labels)
    assert total.item() == pytest.approx(by_hand, rel=1e-12)
    assert right == 3


@pytest.mark.parametrize(("name", "loss"), [("clip", "infonce"), ("siglip", "infonce"), ("siglip", "sigmoid")])
def test_the_loss_of_a_batch_is_what_its_vectors_say(made: Any, name: str, loss: str) -> None:
    task, model = made(name, loss=loss)
    rows = task.rows([example("the cat", painted(RED)), example("the dog", painted(BLUE, WHITE))], CONTEXT)
    batch = task.batch(Draw.at(rows, np.array([0, 1])))
    found = task.loss(model, batch)
    texts = model.embed_text(batch.input_ids, batch.attention_mask)
    logits = model.similarity(texts, model.embed_image(batch.pixel_values.double()))
    if loss == "sigmoid":
        expected = -torch.nn.functional.logsigmoid((2 * torch.eye(2, dtype=torch.float64) - 1) * logits).sum()
    else:
        own = torch.arange(2)
        cost = torch.nn.functional.cross_entropy
        expected = (cost(logits, own, reduction="sum") + cost(logits.T, own, reduction="sum")) / 2
    assert found.sum.item() == pytest.approx(expected.item(), rel=1e-12)
    assert found.count == 2


def test_the_bias_begins_where_the_batch_is_at_rest(made: Any) -> None:
    task, model = made(loss="sigmoid")
    assert isinstance(model, Siglip)
    task.set_out(model, 128)
    assert model.logit_bias.item() == pytest.approx(math.log((1 / 128) / (1 - 1 / 128)))


def test_clip_has_no_bias_for_the_sigmoid_loss(made: Any) -> None:
    with pytest.raises(ConfigError, match=r'clip has no bias; take model\.family="siglip"'):
        made("clip", loss="sigmoid")


def test_a_picture_with_two_texts_is_seen_once_and_neither_is_a_rival(made: Any) -> None:
    task, model = made()
    pair = [example("the cat", painted(RED)), example("猫", painted(RED)), example("the dog", painted(BLUE))]
    batch = task.batch(Draw.at(task.rows(pair, CONTEXT), np.array([0, 1, 2])))
    assert batch.pixel_values.shape == (2, 3, 64, 64)
    assert batch.labels.tolist() == [[0, 0], [1, 0], [2, 1]]
    answers = task.answer(model, pair, CONTEXT)
    assert max(answer.text_rank for answer in answers[:2]) <= 2  # of three texts one is not its own


def test_ranks_are_places_among_all_of_the_split(made: Any) -> None:
    task, model = made()
    urls = [painted(colour) for colour in (RED, GREEN, BLUE, WHITE, BLACK)]
    examples = [
        example(text, url) for text, url in zip(["the cat", "the dog", "quiet", "log", "mat"], urls, strict=True)
    ]
    answers = task.answer(model, examples, CONTEXT)
    gallery = task.seeing.gallery([each.picture for each in examples])
    images = task.embed_gallery(model, gallery)
    texts = task.embed_texts(model, [str(each.text) for each in examples], CONTEXT)
    cosines = texts @ images.T
    own = np.diag(cosines)
    assert [answer.image_rank for answer in answers] == (1 + (cosines > own[:, None]).sum(axis=1)).tolist()
    assert [answer.text_rank for answer in answers] == (1 + (cosines > own[None, :]).sum(axis=0)).tolist()
    assert [answer.similarity for answer in answers] == pytest.approx(own.tolist(), abs=1e-6)


def test_a_blind_model_is_at_chance(made: Any) -> None:
    task, model = made()
    urls = [painted((7 * number, 255 - 5 * number, 3 * number)) for number in range(40)]
    examples = [example(f"the cat {number} times", url) for number, url in enumerate(urls)]
    blind = task.with_sight(replace(task.seeing, is_blind=True))
    columns = task.judged(examples, blind.answer(model, examples, CONTEXT))
    assert recall_at(1, "image").compute(columns) <= 0.1
    assert len({vector.vector.tobytes() for vector in blind.answer(model, examples, CONTEXT)}) == 1


def test_shuffled_examples_have_the_pictures_of_others() -> None:
    examples = [example(str(number), painted((number, 0, 0))) for number in range(9)]
    found = shuffled(examples, seed=1)
    assert [each.text for each in found] == [each.text for each in examples]
    assert all(a.picture != b.picture for a, b in zip(found, examples, strict=True))
    assert {each.picture for each in found} == {each.picture for each in examples}


@pytest.mark.parametrize("loss", ["infonce", "sigmoid"])
def test_pictures_are_named_by_labels(made: Any, loss: str) -> None:
    task, model = made(loss=loss)
    asked = task.asked({"labels": ["cat", "dog", "log"], "prompt": "the {}"})
    answers = asked.answer(model, [example(None, painted(RED)), example(None, painted(BLUE))], CONTEXT)
    texts = torch.from_numpy(task.embed_texts(model, ["the cat", "the dog", "the log"], CONTEXT)).double()
    for answer in answers:
        logits = model.similarity(texts, torch.from_numpy(answer.vector[None]).double())[:, 0]
        sure = logits.sigmoid() if loss == "sigmoid" else logits.softmax(dim=0)
        assert answer.label == ("cat", "dog", "log")[int(logits.argmax())]
        assert answer.probability == pytest.approx(float(sure.max().detach()), rel=1e-4)
    told = asked.told(answers[0])
    assert set(told) == {"prediction", "probability"}


def test_a_record_without_a_picture_or_a_text_says_so(made: Any) -> None:
    task, _ = made()
    with pytest.raises(DataError, match=r'r:1: has no picture; name the column of pictures: data\.image="COLUMN"'):
        task.example_of(Record("the cat", "r:1"), task.config)
    with pytest.raises(DataError, match="small: nothing is said of its picture"):
        task.rows([example(None, painted(RED))], CONTEXT)


def test_a_picture_that_cannot_be_used_is_named(made: Any, tmp_path: Path) -> None:
    task, _ = made()
    path = tmp_path / "cat.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(BadPicture, match=r"cat\.png"):
        task.rows([example("the cat", str(path))], CONTEXT)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("data:image/png,abc", "is no data URL in base64"),
        ("data:image/png;base64,@@@", "not base64"),
        ("data:text/plain;base64,aGVsbG8=", "not a picture that is read"),
    ],
)
def test_a_data_url_that_holds_no_picture_is_refused(made: Any, url: str, said: str) -> None:
    task, _ = made()
    with pytest.raises(BadPicture, match=said):
        task.rows([example("the cat", url)], CONTEXT)


def test_a_record_to_name_may_be_a_path_alone(made: Any, tmp_path: Path) -> None:
    task, _ = made()
    path = tmp_path / "cat.png"
    path.write_bytes(b"anything")
    found = task.asked_example(Record(str(path), "lines:1"), task.config)
    assert (found.picture.reference, found.text) == (str(path), None)
    with pytest.raises(BadPicture, match="No such file"):
        task.asked_example(Record(str(tmp_path / "dog.png"), "lines:2"), task.config)


def test_the_column_of_pictures_is_the_sources_own() -> None:
    config = read_settings({"name": "image-text-retrieval", "columns": {"image": "photo", "text": "caption"}})
    (told,) = config.told((SourceSpec(path="a.csv"),))  # type: ignore[attr-defined]
    assert (told.text, told.image, told.meta) == ("caption", "photo", ())
    (shown,) = config.told((SourceSpec(path="emoji.json", kind="emoji"),))  # type: ignore[attr-defined]
    assert shown.image == ""
