"""Settings of the encoders: other spellings, labels, and what we do not compute."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from wenlu.config import check
from wenlu.errors import ConfigError
from wenlu.models import family
from wenlu.models.layers.encoder import EncoderConfig
from wenlu.models.modernbert import ModernBertConfig

SIZES = {
    "vocab_size": 9,
    "hidden_size": 24,
    "intermediate_size": 8,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
}


def config(name: str, **changes: Any) -> EncoderConfig:
    found = check(family(name).config, {**SIZES, **changes}, where="here")
    assert isinstance(found, EncoderConfig)
    return found


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type: input should be 'absolute'"),
        ("bert", {"is_decoder": True}, "is_decoder: input should be False"),
        ("roberta", {"add_cross_attention": True}, "add_cross_attention: input should be False"),
        ("roberta", {"pad_token_id": None}, "pad_token_id: input should be a valid integer"),
        ("roberta", {"head": "pretraining"}, "head: input should be 'masked-lm', 'none'"),
        ("bert", {"hidden_size": 25}, "hidden_size 25 is not a multiple of num_attention_heads 6"),
        ("bert", {"hidden_dropout_prob": 1.0}, "hidden_dropout_prob: input should be less than 1"),
        ("bert", {"label2id": {"x": 0}}, "label2id is not the inverse of id2label; leave it out, it follows"),
        ("bert", {"id2label": {"0": "x", "1": "x"}}, "label2id is not the inverse of id2label"),
        ("bert", {"id2label": {"1": "x"}}, "id2label numbers its labels [1], not 0 to 0"),
        ("bert", {"num_labels": 5, "id2label": {"0": "x"}}, "num_labels 5 contradicts the 1 names of id2label"),
        ("bert", {"num_labels": -1}, "num_labels must be a number from 1 to 65536, not -1"),
        (
            "bert",
            {"num_labels": 3, "head": "question-answering"},
            "question answering marks a start and an end, so id2label has 2, not 3",
        ),
        ("distilbert", {"n_lyers": 1}, "n_lyers: unknown key"),
        ("modernbert", {"layer_types": ["full_attention"]}, "layer_types names 1 layers of 4"),
        ("modernbert", {"rope_parameters": [1]}, "rope_parameters"),
        ("modernbert", {"rope_parameters": {"full_attention": [1]}}, "rope_parameters.full_attention"),
        ("modernbert", {"rope_parameters": {"other": {}}}, "rope_parameters.other: unknown key"),
        ("modernbert", {"global_attn_every_n_layers": 0}, "must be a positive number, not 0"),
        ("modernbert", {"hidden_size": 18}, "hidden_size / num_attention_heads is odd; rotary positions turn pairs"),
    ],
)
def test_settings_that_we_do_not_compute_are_refused(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        config(name, **changes)


def test_a_number_of_labels_names_them() -> None:
    three = config("bert", num_labels=3)
    assert three.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert three.label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}
    assert config("bert").num_labels == 2
    assert config("bert", id2label={"0": "谷", "1": "山"}).label2id == {"谷": 0, "山": 1}


def test_distilbert_writes_the_names_that_it_reads() -> None:
    written = config("distilbert").model_dump(mode="json", by_alias=True, exclude_none=True)
    assert (written["dim"], written["hidden_dim"], written["n_layers"], written["n_heads"]) == (24, 8, 4, 6)
    assert "hidden_size" not in written
    assert family("distilbert").config.model_validate(written) == config("distilbert")


def test_every_third_layer_of_modernbert_sees_everything_unless_said() -> None:
    found = config("modernbert")
    assert isinstance(found, ModernBertConfig)
    full, nearby = "full_attention", "sliding_attention"
    assert found.layer_types == [full, nearby, nearby, full]
    other = config("modernbert", global_attn_every_n_layers=2)
    assert isinstance(other, ModernBertConfig)
    assert other.layer_types == [full, nearby, full, nearby]


def test_both_spellings_of_modernberts_frequencies_are_read() -> None:
    new = config("modernbert", rope_parameters={"full_attention": {"rope_type": "default"}})
    assert new == config("modernbert")
    assert new == config("modernbert", global_rope_theta=160000.0, local_rope_theta=10000.0)
    found = config("modernbert", local_rope_theta=7.0)
    assert isinstance(found, ModernBertConfig)
    assert (found.rope_parameters.full_attention.rope_theta, found.rope_parameters.sliding_attention.rope_theta) == (
        160000.0,
        7.0,
    )


def test_the_first_rows_of_robertas_positions_stand_for_none() -> None:
    settings = config("roberta", max_position_embeddings=9, pad_token_id=2)
    assert settings.context == 6
    model = family("roberta").build(settings)
    model(torch.ones(1, 6, dtype=torch.int64))
    with pytest.raises(IndexError):
        model(torch.ones(1, 7, dtype=torch.int64))
