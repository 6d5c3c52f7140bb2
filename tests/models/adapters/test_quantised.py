"""Adapters beside maps of 8 or 4 bits."""

from __future__ import annotations

import pytest
import torch
from tests.models.adapters.test_attach import FORMS, answer, moved, tiny

from wenlu.errors import UsageError
from wenlu.models.adapters import adapter_in_use, adapters_named, freeze_base, keep_in_bits, merge, merged_model
from wenlu.models.layers.linear import Linear
from wenlu.models.quantised import quantised_layers


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_an_adapter_beside_few_bits_merges_only_into_the_dequantised_base(form: object, bits: int) -> None:
    model = tiny()
    before = answer(model)
    keep_in_bits(model, bits, ())
    assert len(quantised_layers(model)) == 2 * 7
    rounded = answer(model)
    assert (rounded - before).abs().max() > 0
    moved(model, form)  # type: ignore[arg-type]
    adapted = answer(model)
    assert (adapted - rounded).abs().max() > 1e-2
    with pytest.raises(UsageError, match=rf"q_proj is kept in {bits} bits.*merge into the dequantised base"):
        merge(model, "default")
    assert adapter_in_use(model) == "default"
    whole = merged_model(model)
    assert not quantised_layers(whole)
    assert (answer(whole) - adapted).abs().max() < 1e-5
    assert len(quantised_layers(model)) == 2 * 7


def test_the_gradient_goes_through_the_dequantised_weights() -> None:
    """Of the input and of the adapter as if the base were plain and held what the codes stand for."""
    grads = []
    for plain in (False, True):
        model = tiny()
        keep_in_bits(model, 4, ())
        if plain:
            model = merged_model(model)
        moved(model, FORMS["lora"])
        freeze_base(model)
        model(torch.arange(6)[None]).square().sum().backward()
        assert plain == (type(model.get_submodule("layers.0.mlp.up_proj")) is Linear)
        grads.append({name: part.lora_A.grad for name, part in adapters_named(model, "default").items()})
    for name, found in grads[0].items():
        torch.testing.assert_close(found, grads[1][name], rtol=1e-4, atol=1e-4)
