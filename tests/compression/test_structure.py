"""Parts taken out: what is left is a smaller model of its family that computes the same where nothing was lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from tests.compression.conftest import NewBundle, logits

from wenlu.bundle import Bundle
from wenlu.compression.calibration import Calibration, Gram
from wenlu.compression.method import Compressed
from wenlu.compression.rtn import RtnConfig, round_to_nearest
from wenlu.compression.structure import (
    HeadsConfig,
    LayersConfig,
    NeuronsConfig,
    cut_heads,
    cut_layers,
    cut_neurons,
    refitted,
)
from wenlu.errors import UsageError
from wenlu.models import family_of
from wenlu.models.quantised import count_weights
from wenlu.models.weights import load_model, save_model

Cut = Callable[[Bundle, Calibration], Compressed]
CUTS: dict[str, Cut] = {
    "neurons": lambda bundle, texts: cut_neurons(bundle, NeuronsConfig(), texts),
    "heads": lambda bundle, texts: cut_heads(bundle, HeadsConfig(share=0.5), texts),
    "layers": lambda bundle, texts: cut_layers(bundle, LayersConfig(share=0.5), texts),
}


@pytest.mark.parametrize("name", CUTS)
def test_what_is_left_is_smaller_and_loads_here_and_in_transformers(
    name: str, new_bundle: NewBundle, calibration: Calibration, tmp_path: Path
) -> None:
    bundle = new_bundle()
    before = count_weights(bundle.model)
    made = CUTS[name](bundle, calibration).bundle
    assert count_weights(made.model) < before
    save_model(tmp_path, made.model, family_of(made.model))
    _, again = load_model(tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = torch.arange(12)[None]
    with torch.no_grad():
        torch.testing.assert_close(again(ids), made.model(ids))
        torch.testing.assert_close(theirs(ids).logits, made.model(ids), rtol=1e-4, atol=1e-4)


def test_neurons_that_bring_nothing_go_and_nothing_changes(new_bundle: NewBundle, calibration: Calibration) -> None:
    bundle = new_bundle()
    dead = torch.arange(0, 48, 4)
    for layer in bundle.model.layers:  # type: ignore[union-attr]
        layer.mlp.down_proj.weight.data[:, dead] = 0
    made = cut_neurons(bundle, NeuronsConfig(refit=False), calibration).bundle
    assert made.model.config.intermediate_size == 36  # type: ignore[attr-defined]
    torch.testing.assert_close(logits(made), logits(bundle), rtol=1e-4, atol=1e-4)


def test_heads_that_bring_nothing_go_and_nothing_changes(new_bundle: NewBundle, calibration: Calibration) -> None:
    bundle = new_bundle()
    for layer in bundle.model.layers:  # type: ignore[union-attr]
        layer.self_attn.o_proj.weight.data[:, :16] = 0  # the two queries of the first key
    made = cut_heads(bundle, HeadsConfig(share=0.5, refit=False), calibration).bundle
    assert (made.model.config.num_attention_heads, made.model.config.num_key_value_heads) == (2, 1)  # type: ignore[attr-defined]
    torch.testing.assert_close(logits(made), logits(bundle), rtol=1e-4, atol=1e-4)


def test_a_layer_that_does_nothing_goes_and_nothing_changes(new_bundle: NewBundle, calibration: Calibration) -> None:
    bundle = new_bundle(num_hidden_layers=3)
    idle = bundle.model.layers[1]  # type: ignore[index, union-attr]
    idle.self_attn.o_proj.weight.data.zero_()
    idle.mlp.down_proj.weight.data.zero_()
    made = cut_layers(bundle, LayersConfig(share=0.3), calibration).bundle
    assert len(made.model.layers) == 2  # type: ignore[arg-type]
    torch.testing.assert_close(logits(made), logits(bundle))


def test_a_refitted_map_is_the_least_squares_of_what_it_gave() -> None:
    x, weight = torch.randn(50, 9, dtype=torch.float64), torch.randn(4, 9, dtype=torch.float64)
    kept = torch.tensor([0, 2, 3, 7])
    seen = Gram.empty(9)
    seen.add(x)
    expected = torch.linalg.lstsq(x[:, kept], x @ weight.T).solution.T
    torch.testing.assert_close(refitted(weight, seen, kept, damping=1e-9), expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(refitted(weight, seen, kept, damping=1e9), weight[:, kept])


def test_a_width_that_the_heads_left_do_not_divide_is_told_of(new_bundle: NewBundle, calibration: Calibration) -> None:
    bundle = new_bundle(num_attention_heads=8, num_key_value_heads=8)
    with pytest.raises(UsageError, match=r"hidden_size 32 is not a multiple of num_attention_heads 6; take a share"):
        cut_heads(bundle, HeadsConfig(share=0.25), calibration)


def test_models_without_such_parts_are_refused(new_bundle: NewBundle, calibration: Calibration) -> None:
    with pytest.raises(UsageError, match="in GPT2 the size of heads follows from their number"):
        cut_heads(new_bundle("gpt2"), HeadsConfig(), calibration)
    with pytest.raises(UsageError, match="the layers of Bert differ, so none can stand for another"):
        cut_layers(new_bundle("bert"), LayersConfig(), calibration)
    with pytest.raises(UsageError, match="LSTM has no inner neurons"):
        cut_neurons(new_bundle("lstm"), NeuronsConfig(), calibration)
    for cut, config in ((cut_heads, HeadsConfig(share=0.5)), (cut_layers, LayersConfig(share=0.5))):
        with pytest.raises(UsageError, match="SmolVLM reads pictures too, of which texts show nothing; take a method"):
            cut(new_bundle("smolvlm"), config, calibration)  # type: ignore[operator]
    with pytest.raises(UsageError, match="of 2 layers that leaves 2; take another share"):
        cut_layers(new_bundle(), LayersConfig(share=0.1), calibration)
    quantised = new_bundle()
    round_to_nearest(quantised, RtnConfig())
    with pytest.raises(UsageError, match=r"is quantised; neurons go before that, as in neurons-0\.25\+rtn-int8"):
        cut_neurons(quantised, NeuronsConfig(), calibration)
