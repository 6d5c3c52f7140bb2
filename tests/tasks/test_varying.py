"""Pictures that are varied in training: how far, and never elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.labelled import CONTEXT, LABELLED, NewTokenizer, records_of, seeing, settled
from tests.tasks.tiny import SIZES

from wenlu.corpus.pictures.processing import default_processing
from wenlu.corpus.pictures.sight import Sight
from wenlu.errors import ConfigError
from wenlu.models import LanguageModel, family
from wenlu.tasks import PicturedTask, new_task
from wenlu.tasks.pictured.varying import varied
from wenlu.tasks.task import Draw


def test_nothing_varies_by_nothing() -> None:
    pictures = torch.rand(3, 3, 16, 16)
    assert torch.allclose(varied(pictures, 0.0), pictures, atol=1e-6)


def test_each_picture_varies_by_itself_and_by_no_more_than_is_said() -> None:
    torch.manual_seed(0)
    amount = 0.25
    dot = torch.zeros(1, 3, 41, 41)
    dot[:, :, 20, 20] = 1.0
    found = varied(dot.expand(200, -1, -1, -1), amount)
    weight = (found - found[:, :, :1, :1]).abs().sum(1)  # without what was added to all
    places = torch.stack([weight.flatten(1).argmax(1) // 41, weight.flatten(1).argmax(1) % 41], 1) - 20
    most = amount * 41 / 2 / (1 - amount)  # a map that shrinks moves further
    assert 0.5 * most < places.abs().max() <= most + 1
    assert len({tuple(place) for place in places.tolist()}) > 100
    plain = varied(torch.ones(500, 3, 4, 4), amount)
    assert torch.allclose(plain, plain[:, :, :1, :1].expand_as(plain), atol=1e-6), "edges are no black frame"
    assert plain.min() >= 1 - 1.5 * amount
    assert plain.max() <= 1 + 1.5 * amount
    assert plain[:, 0].std() > 0.1 * amount
    assert (plain[:, 0] - plain[:, 1]).abs().max() > 0.1 * amount, "channels differ"


@pytest.fixture
def pictured(new_tokenizer: NewTokenizer) -> Callable[..., tuple[PicturedTask, LanguageModel]]:
    def make(name: str, **settings: Any) -> tuple[PicturedTask, LanguageModel]:
        config = settled(name).model_copy(update=settings)
        task = new_task(config, new_tokenizer(special=config.special_tokens))
        assert isinstance(task, PicturedTask)
        chosen = family(LABELLED[name].family)
        needed = {**SIZES, "eos_token_id": task.tokenizer.eos_id, **task.config.new_model_settings(task.tokenizer)}
        sizes = {key: value for key, value in needed.items() if key in chosen.config.model_fields}
        torch.manual_seed(0)
        model = chosen.build(chosen.config(vocab_size=task.tokenizer.vocab_size, **sizes))
        sees = seeing(task, model.config)
        assert isinstance(sees, PicturedTask)
        return sees, model

    return make


@pytest.mark.parametrize("name", ["image-text-retrieval", "captioning", "visual-question-answering"])
def test_a_model_is_shown_other_pictures_in_training_alone(name: str, pictured: Any) -> None:
    task, model = pictured(name, vary=0.3)
    rows = task.rows([type(task).example_of(record, task.config) for record in records_of(task.config)], CONTEXT)
    batch = task.batch(Draw.at(rows, np.arange(4)))
    assert batch.pixel_values is not None
    model.eval()
    plain = [task.loss(model, batch).sum.item() for _ in range(2)]
    assert plain[0] == plain[1] == pictured(name)[0].loss(model, batch).sum.item()
    model.train()
    learnt = [task.loss(model, batch).sum.item() for _ in range(2)]
    assert len({*plain, *learnt}) == 3
    assert torch.equal(pictured(name)[0].shown(model, batch), batch.pixel_values)


def test_tiles_of_a_picture_are_not_moved_apart(pictured: Any) -> None:
    task, _ = pictured("captioning", vary=0.3)
    cuts = default_processing("SmolVLM", size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    with pytest.raises(ConfigError, match=r"task\.vary=0\.3: this model sees a picture in tiles"):
        task.with_sight(Sight(cuts, 64))
