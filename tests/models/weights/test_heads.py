"""Rules that depend on what a model ends in."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from wenlu.errors import WeightsError
from wenlu.models.weights.heads import BaseModel, DecoderBias, ForHeads, LeftOver, OlderName
from wenlu.models.weights.rules import Entries, Rename, Stored

ONE, TWO = Stored.of(torch.tensor([1.0])), Stored.of(torch.tensor([2.0]))
BIAS = DecoderBias("shared", "decoder")


def config(head: str = "masked-lm", *, tied: bool = True) -> SimpleNamespace:
    return SimpleNamespace(head=head, tie_word_embeddings=tied)


def values(entries: Entries) -> dict[str, float]:
    return {key: item.read().item() for key, item in entries.items()}


def test_a_prefix_stands_before_the_base_model_of_all_but_the_bare_one() -> None:
    rule = BaseModel("bert", ("encoder",))
    bare = {"encoder.x": ONE, "cls.x": TWO}
    assert rule.save(bare, config("none")).keys() == bare.keys()
    assert rule.save(bare, config()).keys() == {"bert.encoder.x", "cls.x"}
    assert rule.load(rule.save(bare, config()), config()) == bare


def test_a_rule_for_some_heads_leaves_others_alone() -> None:
    rule = ForHeads(("none",), Rename("a", "b"))
    assert rule.load({"a": ONE}, config("none")) == {"b": ONE}
    assert rule.save({"b": ONE}, config("none")) == {"a": ONE}
    assert rule.load({"a": ONE}, config()) == {"a": ONE}
    assert rule.save({"b": ONE}, config()) == {"b": ONE}


def test_an_older_name_is_read_and_never_written() -> None:
    rule = OlderName("{rest}.gamma", "{rest}.weight")
    assert rule.load({"norm.gamma": ONE}, config()) == {"norm.weight": ONE}
    assert rule.save({"norm.weight": ONE}, config()) == {"norm.weight": ONE}
    with pytest.raises(WeightsError, match=r"two tensors of the checkpoint would both become norm\.weight"):
        rule.load({"norm.gamma": ONE, "norm.weight": TWO}, config())


def test_only_the_weights_that_are_named_are_left_over() -> None:
    assert LeftOver("pooler.{rest}").load({"pooler.dense.bias": ONE, "poolers.x": TWO}, config()) == {"poolers.x": TWO}


def test_a_tied_decoders_bias_is_one_tensor_under_either_name() -> None:
    assert values(BIAS.load({"shared": ONE}, config())) == {"decoder": 1.0}
    assert values(BIAS.load({"decoder": ONE}, config())) == {"decoder": 1.0}
    assert values(BIAS.load({"shared": ONE, "decoder": ONE}, config())) == {"decoder": 1.0}
    assert values(BIAS.save({"decoder": ONE}, config())) == {"shared": 1.0}
    with pytest.raises(WeightsError, match="shared differs from decoder, although tie_word_embeddings is true"):
        BIAS.load({"shared": ONE, "decoder": TWO}, config())


def test_an_untied_decoder_adds_the_bias_of_its_own() -> None:
    assert values(BIAS.load({"shared": ONE, "decoder": TWO}, config(tied=False))) == {"decoder": 2.0}
    assert values(BIAS.load({"shared": ONE}, config(tied=False))) == {"decoder": 1.0}
    assert values(BIAS.save({"decoder": TWO}, config(tied=False))) == {"decoder": 2.0, "shared": 2.0}
    assert BIAS.save({"other": ONE}, config(tied=False)) == {"other": ONE}
