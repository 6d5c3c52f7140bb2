"""Encoders that read without gradients leave padding out, and say the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.kernels.native import why_not
from wenlu.models import family
from wenlu.models.layers import encoder
from wenlu.models.layers.encoder import Encoder

pytestmark = pytest.mark.skipif(why_not("avx512") is not None, reason=f"no kernels for AVX-512: {why_not('avx512')}")

FAMILIES: dict[str, dict[str, Any]] = {
    "bert": {},
    "distilbert": {},
    "roberta": {},
    "modernbert": {"local_attention": 8},
}


def small(name: str, **settings: Any) -> Encoder:
    """Heads of 32, which the kernels take."""
    torch.manual_seed(1)
    row = family(name)
    sizes = {"vocab_size": 50, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "head": "none"}
    config = row.config(**sizes, num_attention_heads=2, initializer_range=0.3, **FAMILIES[name], **settings)
    model = row.build(config).eval()
    assert isinstance(model, Encoder)
    return model


def padded(lengths: list[int], *, on_the_left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    places = torch.arange(max(lengths))
    mask = (places < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(5, 50, mask.shape, generator=torch.Generator().manual_seed(sum(lengths)))
    return ids, mask.flip(1) if on_the_left else mask


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("on_the_left", [False, True])
def test_texts_without_padding_are_read_as_those_with_it(
    name: str, on_the_left: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "PACKED", 40)  # so that there are several rows of them
    model = small(name)
    ids, mask = padded([9, 31, 2, 17, 60, 1], on_the_left=on_the_left)
    types = ids % 2 if model.reads_token_types else None
    expected = model.hidden(ids, attention_mask=mask, token_types=types)  # with gradients, so with padding
    with torch.inference_mode():
        found = model.hidden(ids, attention_mask=mask, token_types=types)
    real = mask.bool()
    torch.testing.assert_close(found[real], expected[real].detach(), rtol=1e-4, atol=1e-4)
    assert not found[~real].any()


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=8), most=st.integers(1, 60))
@settings(max_examples=60)
def test_parts_are_whole_texts_and_no_longer_than_they_may_be(lengths: list[int], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "PACKED", most)
        parts = encoder._parts(lengths)
    ends = torch.tensor(lengths).cumsum(0).tolist()
    assert [part.stop for part in parts][-1] == ends[-1]
    assert all(part.stop in ends for part in parts)
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert all(part.stop - part.start <= most or part.stop - part.start in lengths for part in parts)


def test_a_text_is_read_alike_whoever_stands_beside_it() -> None:
    model = small("bert")
    ids, mask = padded([9, 31, 2, 17])
    with torch.inference_mode():
        together = model.hidden(ids, attention_mask=mask)
        for row, length in enumerate([9, 31, 2, 17]):
            alone = model.hidden(ids[row : row + 1, :length], attention_mask=mask[row : row + 1, :length])
            torch.testing.assert_close(together[row, :length], alone[0], rtol=1e-5, atol=1e-5)


def test_who_watches_a_layer_sees_texts_row_by_row() -> None:
    model = small("bert")
    seen: list[torch.Size] = []
    handle = model.layers[0].register_forward_hook(lambda _module, _given, out: seen.append(out.shape))
    ids, mask = padded([9, 31])
    with torch.inference_mode():
        model.hidden(ids, attention_mask=mask)
        handle.remove()
        model.hidden(ids, attention_mask=mask)
    assert seen == [torch.Size([2, 31, 64])]


def test_bfloat16_stays_near_float32() -> None:
    model = small("bert")
    ids, mask = padded([9, 31, 17])
    with torch.inference_mode():
        exact = model.hidden(ids, attention_mask=mask)[mask.bool()]
        found = model.to(torch.bfloat16).hidden(ids, attention_mask=mask)[mask.bool()].float()
    assert torch.nn.functional.cosine_similarity(exact, found).min() > 0.99
