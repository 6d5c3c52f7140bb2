"""What every family promises that reads pictures; see ADR 0029."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import wenlu
from wenlu.errors import ConfigError, WeightsError
from wenlu.models import FAMILIES, IMAGE_FAMILIES, Ability, Family, ImageEncoder, ImageFamily, LanguageModel
from wenlu.models.layers.dual_encoder import DualEncoder
from wenlu.models.layers.pixel_shuffle import pixel_shuffle
from wenlu.models.layers.seeing import SeeingDecoder
from wenlu.models.weights import load_image_encoder, load_model, save_model
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer

Tiny = Callable[..., LanguageModel]
TinyEncoder = Callable[..., ImageEncoder]
VOCAB = 31
END = 30
PLACE = 35
SEEING = [each for each in FAMILIES if Ability.SEES in each.abilities]
MATCHING = [each for each in FAMILIES if Ability.MATCHES in each.abilities]
seeing = pytest.mark.parametrize("row", SEEING, ids=attrgetter("name"))
matching = pytest.mark.parametrize("row", MATCHING, ids=attrgetter("name"))
of_pictures = pytest.mark.parametrize("row", IMAGE_FAMILIES, ids=attrgetter("name"))
every_head = pytest.mark.parametrize(
    ("row", "head"),
    [(row, head) for row in IMAGE_FAMILIES for head in row.heads],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
every_dtype = pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
EXAMPLES = 12 if os.environ.get("WENLU_PROOF") == "1" else 4
sampled = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def pictures(count: int, seed: int = 0, side: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, side, side, generator=generator, dtype=torch.float64)


def words(length: int, seed: int = 0) -> Tensor:
    return torch.randint(0, END, (length,), generator=torch.Generator().manual_seed(seed))


def padded(rows: list[Tensor], *, left: bool) -> tuple[Tensor, Tensor]:
    longest = max(len(row) for row in rows)
    ids, mask = torch.zeros(len(rows), longest, dtype=torch.int64), torch.zeros(len(rows), longest, dtype=torch.int64)
    for index, row in enumerate(rows):
        place = slice(longest - len(row), None) if left else slice(len(row))
        ids[index, place], mask[index, place] = row, 1
    return ids, mask


def seer(tiny: Tiny, row: Family, **changes: Any) -> SeeingDecoder:
    model = tiny(row, **changes)
    assert isinstance(model, SeeingDecoder)
    return model


def matcher(tiny: Tiny, row: Family, **changes: Any) -> DualEncoder:
    model = tiny(row, **changes)
    assert isinstance(model, DualEncoder)
    return model


def with_places(model: SeeingDecoder, counts: list[int], seed: int = 0) -> list[Tensor]:
    """Texts of 3 words and so many pictures each, a word after every one."""
    place = torch.full((model.tokens_per_image,), model.image_token_id)
    return [
        torch.cat([words(3, seed + index), *(torch.cat([place, words(1, seed + number)]) for number in range(count))])
        for index, count in enumerate(counts)
    ]


def all_learn(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def same_through_a_file(
    model: LanguageModel | ImageEncoder, row: Family | ImageFamily, folder: Path
) -> LanguageModel | ImageEncoder:
    save_model(folder, model, row)
    found, loaded = (load_model if isinstance(row, Family) else load_image_encoder)(folder)
    assert found is row
    assert loaded.config == model.config
    weights = model.state_dict()
    assert loaded.state_dict().keys() == weights.keys()
    assert all(torch.equal(weight, weights[key]) for key, weight in loaded.state_dict().items())
    return loaded


@seeing
def test_pictures_stand_in_the_text(row: Family, tiny: Tiny) -> None:
    model = seer(tiny, row)
    ids = with_places(model, [2])[0][None]
    logits = model(ids, pixel_values=pictures(2))
    assert logits.shape == (1, ids.size(1), VOCAB)
    hidden = model.hidden(ids, pixel_values=pictures(2))
    torch.testing.assert_close(model.lm_head(hidden), logits)
    assert model.embed_image(pictures(2)).shape == (2, model.tokens_per_image, model.config.hidden_size)
    other = model(ids, pixel_values=torch.cat([pictures(1), pictures(1, seed=1)]))
    second = int((ids[0] == PLACE).nonzero()[model.tokens_per_image])
    torch.testing.assert_close(other[:, :second], logits[:, :second])
    assert ((other[:, second:] - logits[:, second:]).abs().amax(dim=-1) > 1e-6).all()


@pytest.mark.parametrize("row", [*SEEING, *MATCHING], ids=attrgetter("name"))
def test_a_new_model_gets_a_tower_in_proportion_to_its_text(row: Family) -> None:
    config = row.config(vocab_size=VOCAB, **row.proportions)
    tower = config.vision_config  # type: ignore[attr-defined]
    for name in ("hidden_size", "num_hidden_layers", "num_attention_heads"):
        assert getattr(tower, name) == getattr(config, name)
    assert (tower.image_size, tower.patch_size, tower.side) == (64, 8, 8)
    model = row.outline(config)
    assert not isinstance(model, SeeingDecoder) or model.tokens_per_image == 16  # (64 / 8 / 2)²


@seeing
def test_swapping_two_pictures_swaps_what_is_said(row: Family, tiny: Tiny) -> None:
    model = seer(tiny, row)
    one = with_places(model, [1])[0]
    ids, images = torch.stack([one, one]), pictures(2)
    there, back = model(ids, pixel_values=images), model(ids, pixel_values=images.flip(0))
    torch.testing.assert_close(back, there.flip(0))
    assert (there[0] - there[1]).abs().max() > 1e-3


@seeing
@given(counts=st.lists(st.integers(0, 2), min_size=1, max_size=4), left=st.booleans())
@sampled
def test_a_batch_answers_as_each_of_its_texts_alone(row: Family, tiny: Tiny, counts: list[int], left: bool) -> None:
    """With pictures or without, padded on either side."""
    model = seer(tiny, row)
    rows, images = with_places(model, counts), pictures(sum(counts))
    ids, mask = padded(rows, left=left)
    together = model(ids, attention_mask=mask, pixel_values=images)
    for index, (alone, own) in enumerate(zip(rows, images.split(counts), strict=True)):
        torch.testing.assert_close(together[index, mask[index].bool()], model(alone[None], pixel_values=own)[0])


@seeing
def test_tokens_after_pictures_are_read_as_at_once(row: Family, tiny: Tiny) -> None:
    """First the pictures, then words one by one, in rows of different lengths; then further pictures."""
    model = seer(tiny, row)
    rows, images = with_places(model, [2, 1]), pictures(4)
    ids, mask = padded(rows, left=False)
    state = model.init_state(2)
    model(ids, attention_mask=mask, state=state, pixel_values=images[:3])
    new = torch.stack([words(2, seed=7), words(2, seed=8)])
    steps = [model(new[:, i : i + 1], state=state) for i in range(2)]
    further, _ = padded(with_places(model, [0, 1], seed=9), left=False)
    further[0, 3:] = words(further.size(1) - 3)
    last = model(further, state=state, pixel_values=images[3:])
    found = torch.cat([*steps, last], dim=1)
    for index, own in enumerate([images[:2], images[2:]]):
        whole = torch.cat([rows[index], new[index], further[index]])[None]
        torch.testing.assert_close(found[index], model(whole, pixel_values=own)[0, len(rows[index]) :])


@seeing
def test_a_wrong_number_of_placeholders_is_refused(row: Family, tiny: Tiny) -> None:
    model = seer(tiny, row)
    state, count = model.init_state(1), model.tokens_per_image
    ids = with_places(model, [2])[0][None]
    for images in (None, pictures(0), pictures(1), pictures(3)):
        number = 0 if images is None else len(images)
        told = f"input_ids hold {2 * count} placeholders (token {PLACE}), but {number} pictures of {count} each fill"
        with pytest.raises(ValueError, match=re.escape(f"{told} {number * count}; write {count} for every picture")):
            model(ids, state=state, pixel_values=images)
    with pytest.raises(ValueError, match=rf"input_ids hold {2 * count - 1} placeholders"):
        model(ids[:, :-2], pixel_values=pictures(2))
    assert state.lengths.tolist() == [0]


@seeing
def test_a_placeholder_that_the_model_wrote_itself_is_a_token(row: Family, tiny: Tiny) -> None:
    model = seer(tiny, row, image_token_id=7)
    state = model.init_state(1)
    model(words(3)[None].clamp(max=6), state=state)
    assert model(torch.tensor([[7]]), state=state).isfinite().all()


@seeing
def test_a_gradient_reaches_every_parameter_and_every_pixel(row: Family, tiny: Tiny) -> None:
    model = seer(tiny, row)
    ids, _ = padded(with_places(model, [2, 2]), left=False)
    images = pictures(4).requires_grad_()
    model(ids, pixel_values=images).cos().sum().backward()
    all_learn(model)
    assert images.grad is not None
    assert (images.grad.abs().flatten(1).amax(dim=1) > 0).all()


@seeing
@every_dtype
def test_a_model_that_sees_loads_to_the_bit(row: Family, tiny: Tiny, dtype: torch.dtype, tmp_path: Path) -> None:
    model = seer(tiny, row, dtype=dtype)
    ids = with_places(model, [1])[0][None]
    loaded = same_through_a_file(model, row, tmp_path)
    torch.testing.assert_close(loaded(ids, pixel_values=pictures(1)), model(ids, pixel_values=pictures(1)))


@pytest.mark.parametrize("row", [row for row in FAMILIES if Ability.SEES not in row.abilities], ids=attrgetter("name"))
def test_what_sees_no_pictures_refuses_them(row: Family, tiny: Tiny) -> None:
    with pytest.raises(TypeError, match="pixel_values"):
        tiny(row)(words(3)[None], pixel_values=pictures(1))


def texts(lengths: list[int]) -> list[Tensor]:
    return [torch.cat([words(length, seed=index), torch.tensor([END])]) for index, length in enumerate(lengths)]


@matching
def test_vectors_have_length_one_and_differ(row: Family, tiny: Tiny) -> None:
    model = matcher(tiny, row)
    text, image = model.embed_text(torch.stack(texts([5, 5, 5]))), model.embed_image(pictures(4))
    assert text.shape[1:] == image.shape[1:]
    for vectors, count in ((text, 3), (image, 4)):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(count, dtype=torch.float64))
        assert (vectors @ vectors.T - torch.eye(count)).amax() < 0.9999
    logits = model.similarity(text, image)
    assert logits.shape == (3, 4)
    bias = model.state_dict().get("logit_bias", torch.tensor(0.0))
    cosine = F.cosine_similarity(text[:, None], image[None], dim=-1)
    torch.testing.assert_close(logits, model.logit_scale.exp() * cosine + bias)


@matching
@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=4), left=st.booleans())
@sampled
def test_a_text_has_its_vector_in_any_batch(row: Family, tiny: Tiny, lengths: list[int], left: bool) -> None:
    model, rows = matcher(tiny, row), texts(lengths)
    ids, mask = padded(rows, left=left)
    together = model.embed_text(ids, mask)
    hidden = model(ids, attention_mask=mask)
    for index, alone in enumerate(rows):
        torch.testing.assert_close(together[index], model.embed_text(alone[None])[0])
        torch.testing.assert_close(hidden[index, mask[index].bool()], model(alone[None])[0])


@matching
def test_a_picture_has_its_vector_in_any_batch(row: Family, tiny: Tiny) -> None:
    model, images = matcher(tiny, row), pictures(3)
    together = model.embed_image(images)
    for index in range(3):
        torch.testing.assert_close(together[index], model.embed_image(images[index : index + 1])[0])
    torch.testing.assert_close(model.embed_image(images.flip(0)), together.flip(0))


@matching
def test_a_gradient_reaches_every_parameter_of_both_encoders(row: Family, tiny: Tiny) -> None:
    model = matcher(tiny, row)
    ids = torch.stack(texts([39, 39, 39, 39]))
    model.similarity(model.embed_text(ids), model.embed_image(pictures(4))).cos().sum().backward()
    all_learn(model)


@matching
@every_dtype
def test_both_encoders_load_to_the_bit(row: Family, tiny: Tiny, dtype: torch.dtype, tmp_path: Path) -> None:
    model = matcher(tiny, row, dtype=dtype)
    loaded = same_through_a_file(model, row, tmp_path)
    assert isinstance(loaded, DualEncoder)
    ids = torch.stack(texts([5, 5]))
    torch.testing.assert_close(loaded.embed_text(ids), model.embed_text(ids))
    torch.testing.assert_close(loaded.embed_image(pictures(1)), model.embed_image(pictures(1)))


@matching
def test_fresh_models_that_start_at_zero_can_learn_to_match(row: Family, tiny: Tiny) -> None:
    model = row.build(tiny(row).config, dtype=torch.float64, zero_outputs=True)
    assert isinstance(model, DualEncoder)
    ids, images = torch.stack(texts([5, 5, 5])), pictures(3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    losses = []
    for _ in range(15):
        logits = model.similarity(model.embed_text(ids), model.embed_image(images))
        loss = F.cross_entropy(logits, torch.arange(3))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_clip_refuses_a_text_without_an_end(tiny: Tiny) -> None:
    clip = next(row for row in MATCHING if row.name == "clip")
    ids = torch.stack([texts([4])[0], words(5)])
    with pytest.raises(ValueError, match=f"text 1 of 2 holds no token {END}, the end, at which CLIP reads it"):
        matcher(tiny, clip).embed_text(ids)
    with pytest.raises(ConfigError, match="CLIP reads a text at its end, which is one token"):
        wenlu.config.check(clip.config, {"eos_token_id": [1, 2]}, where="x")


def test_siglip_refuses_two_spaces(tiny: Tiny) -> None:
    siglip = next(row for row in MATCHING if row.name == "siglip")
    with pytest.raises(ValueError, match=r"vectors of 7 numbers \(projection_size\) and pictures of 20"):
        tiny(siglip, projection_size=7)
    with pytest.raises(ValueError, match="a text of 41 tokens is longer than max_position_embeddings 40; cut it"):
        matcher(tiny, siglip).embed_text(words(41)[None])


@of_pictures
def test_an_encoder_sees_each_picture_alone(row: ImageFamily, tiny_encoder: TinyEncoder) -> None:
    model, images = tiny_encoder(row), pictures(3)
    together = model(images)
    assert together.shape == (3, 17, 20)
    torch.testing.assert_close(model.hidden(images), together)
    for index in range(3):
        torch.testing.assert_close(together[index], model(images[index : index + 1])[0])


@every_head
def test_a_gradient_reaches_what_an_encoder_uses(row: ImageFamily, head: str, tiny_encoder: TinyEncoder) -> None:
    model = tiny_encoder(row, head=head)
    answer = model(pictures(4))
    assert answer.shape == ((4, 17, 20) if head == "none" else (4, 2))
    loss = answer.cos().sum()
    if head == "none":
        loss = loss + model.pooled(model.hidden(pictures(4))).cos().sum()  # type: ignore[operator]
    loss.backward()
    all_learn(model)


@every_head
@every_dtype
def test_an_encoder_loads_to_the_bit(
    row: ImageFamily, head: str, tiny_encoder: TinyEncoder, dtype: torch.dtype, tmp_path: Path
) -> None:
    model = tiny_encoder(row, dtype, head=head)
    loaded = same_through_a_file(model, row, tmp_path)
    torch.testing.assert_close(loaded(pictures(2)), model(pictures(2)))


@of_pictures
def test_an_encoder_is_no_language_model(row: ImageFamily, tiny_encoder: TinyEncoder, tmp_path: Path) -> None:
    save_model(tmp_path, tiny_encoder(row), row)
    with pytest.raises(WeightsError, match=f"{row.name} reads pictures and no text, so it is no language model"):
        wenlu.load(tmp_path)


@pytest.mark.parametrize("row", [*SEEING, *MATCHING], ids=attrgetter("name"))
def test_a_folder_with_a_tokenizer_is_a_bundle(row: Family, tiny: Tiny, tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=260, min_frequency=1), ["a cat sat"] * 2)
    assert isinstance(tokenizer, Tokenizer)
    save_model(tmp_path, tiny(row, vocab_size=300), row)
    tokenizer.save(tmp_path)
    bundle = wenlu.load(tmp_path)
    assert isinstance(bundle.model, row.model)
    assert (bundle.task is None) == (Ability.CAUSAL not in row.abilities)


@pytest.mark.parametrize("row", [*SEEING, *MATCHING], ids=attrgetter("name"))
def test_a_picture_of_another_size_is_refused(row: Family, tiny: Tiny) -> None:
    model = tiny(row)
    assert isinstance(model, SeeingDecoder | DualEncoder)
    with pytest.raises(ValueError, match=r"pixel_values has shape \[2, 3, 20, 20\].* of shape \['M', 3, 16, 16\]"):
        model.embed_image(pictures(2, side=20))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("smolvlm", {"vision_config": {"patch_sise": 8}}, "vision_config.patch_sise: unknown key"),
        ("smolvlm", {"vision_config": {"use_resampler": True}}, "vision_config.use_resampler: unknown key"),
        ("smolvlm", {"scale_factor": 3}, "a side of 8 patches .* is not a multiple of scale_factor 3"),
        ("smolvlm", {"text_config": 3}, "text_config is int, not an object of settings"),
        ("clip", {"text_config": {"is_decoder": True}}, "is_decoder: unknown key"),
        ("clip", {"vision_config": {"num_attention_heads": 7}}, "hidden_size 768 is not a multiple of"),
        ("siglip", {"vision_config": {"patch_size": 300}}, "image_size 224 is not between patch_size 300 and"),
    ],
)
def test_settings_that_mean_nothing_are_refused(name: str, settings: dict[str, Any], message: str) -> None:
    row = next(row for row in FAMILIES if row.name == name)
    with pytest.raises(ConfigError, match=message):
        wenlu.config.check(row.config, {"vocab_size": VOCAB, **row.proportions, **settings}, where="config.json")


def test_neighbours_are_laid_end_to_end() -> None:
    """A square of 4 × 4 numbered by hand: blocks of 2 × 2, each by rows from the top left."""
    numbers = torch.arange(16).view(1, 16, 1)
    expected = [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    assert pixel_shuffle(numbers, 2).tolist() == [expected]
    assert torch.equal(pixel_shuffle(numbers, 1), numbers)
