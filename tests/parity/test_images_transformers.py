"""Models that read pictures answer as Hugging Face's do with the same weights, in both directions of a file.

`make test` takes some cases of each comparison, `make proof-parity` all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor

from wenlu.models.layers.dual_encoder import DualEncoder
from wenlu.models.layers.image_encoder import ImageEncoder
from wenlu.models.layers.norm import RMSNorm
from wenlu.models.smolvlm import SmolVLM
from wenlu.models.vit import ViT
from wenlu.models.weights import load_image_encoder, load_model, read_config, save_model

TEXT = {
    "vocab_size": 41,
    "hidden_size": 24,
    "intermediate_size": 28,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "max_position_embeddings": 12,
}
VISION = {
    "hidden_size": 20,
    "intermediate_size": 28,
    "num_hidden_layers": 2,
    "num_attention_heads": 5,
    "image_size": 16,
    "patch_size": 4,
}
LLAMA = {**TEXT, "model_type": "llama", "initializer_range": 0.2, "bos_token_id": None, "eos_token_id": None}
LLAMA |= {"max_position_embeddings": 128}
IMAGE = 40

VIT: dict[str, dict[str, Any]] = {
    "plain": {},
    "no biases": {"qkv_bias": False, "layer_norm_eps": 1e-6},
    "grey, a rest of pixels": {"num_channels": 1, "image_size": 19, "hidden_act": "gelu_pytorch_tanh"},
    "one patch": {"image_size": 4, "num_attention_heads": 1},
}
DUAL: dict[str, dict[str, Any]] = {
    "clip: plain": {"text_config": {"eos_token_id": 39}},
    "clip: end of older files": {"text_config": {"eos_token_id": 2}},
    "clip: narrow space": {"text_config": {"eos_token_id": 39}, "projection_dim": 7},
    "clip: gelu of LAION": {
        "text_config": {"eos_token_id": 39, "hidden_act": "gelu"},
        "vision_config": {"hidden_act": "gelu", "layer_norm_eps": 1e-3},
    },
    "clip: other heads": {
        "text_config": {"eos_token_id": 39, "num_attention_heads": 6},
        "vision_config": {"num_attention_heads": 2, "image_size": 18, "num_channels": 1},
    },
    "siglip: plain": {"text_config": {"projection_size": 20}},
    "siglip: one space": {"vision_config": {"hidden_size": 24, "num_attention_heads": 4}},
    "siglip: a rest of pixels": {
        "text_config": {"projection_size": 20, "hidden_act": "gelu"},
        "vision_config": {"image_size": 18, "num_hidden_layers": 1},
    },
}
SEEING: dict[str, dict[str, Any]] = {
    "smolvlm: plain": {},
    "smolvlm: tied": {"tie_word_embeddings": True},
    "smolvlm: grouped": {"text_config": {"num_attention_heads": 6, "num_key_value_heads": 2, "rms_norm_eps": 1e-5}},
    "smolvlm: four at once": {"scale_factor": 4},
    "smolvlm: as it is": {"scale_factor": 1, "text_config": {"attention_bias": True, "mlp_bias": True}},
    "smolvlm: patches that share a place": {"vision_config": {"image_size": 150, "patch_size": 6}, "scale_factor": 5},
    "idefics3: plain": {},
    "idefics3: tied": {"tie_word_embeddings": True, "vision_config": {"image_size": 18, "num_channels": 1}},
}
PROOF = os.environ.get("WENLU_PROOF") == "1"


def some(cases: Sequence[str], place: int | None = None) -> pytest.MarkDecorator:
    """Every case; with a `place`, `make test` takes each third from there."""
    chosen = [case for number, case in enumerate(cases) if PROOF or place is None or number % 3 == place]
    return pytest.mark.parametrize("case", chosen)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def saved(model: transformers.PreTrainedModel, folder: Path) -> transformers.PreTrainedModel:
    """`model` with all weights random, so that none can be mistaken for another."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.2)
            elif parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
            assert parameter.any(), name
    model.save_pretrained(folder)
    return model.eval()


def their_vit(case: str, folder: Path, *, classifies: bool = False) -> transformers.PreTrainedModel:
    torch.manual_seed(5)
    labels = {"id2label": dict(enumerate("abc")), "label2id": dict(zip("abc", range(3), strict=True))}
    config = transformers.ViTConfig(**{**VISION, **(labels if classifies else {}), **VIT[case]})
    kind = transformers.ViTForImageClassification if classifies else transformers.ViTModel
    return saved(kind(config), folder)


def their_dual(case: str, folder: Path) -> transformers.PreTrainedModel:
    torch.manual_seed(5)
    kind, settings = case.partition(":")[0], DUAL[case]
    parts = {"text_config": TEXT | settings.get("text_config", {})}
    parts |= {"vision_config": VISION | settings.get("vision_config", {})}
    config = transformers.AutoConfig.for_model(kind, **{**settings, **parts})
    return saved(transformers.AutoModel.from_config(config), folder)


def their_seeing(case: str, folder: Path) -> transformers.PreTrainedModel:
    torch.manual_seed(5)
    kind, settings = case.partition(":")[0], SEEING[case]
    parts = {"text_config": LLAMA | settings.get("text_config", {})}
    parts |= {"vision_config": VISION | settings.get("vision_config", {})}
    config = transformers.AutoConfig.for_model(kind, **{"image_token_id": IMAGE, **settings, **parts})
    return saved(transformers.AutoModelForImageTextToText.from_config(config), folder)


def pictures(model: ImageEncoder | DualEncoder | SmolVLM, count: int = 3) -> Tensor:
    part = model.config if isinstance(model, ImageEncoder) else model.config.vision_config
    return torch.randn(
        count, part.num_channels, part.image_size, part.image_size, generator=torch.Generator().manual_seed(2)
    )


def our_vit(folder: Path) -> ViT:
    model = load_image_encoder(folder)[1]
    assert isinstance(model, ViT)
    return model


def our_dual(folder: Path) -> DualEncoder:
    model = load_model(folder)[1]
    assert isinstance(model, DualEncoder)
    return model


def our_seeing(folder: Path) -> SmolVLM:
    model = load_model(folder)[1]
    assert isinstance(model, SmolVLM)
    return model


def texts() -> tuple[Tensor, Tensor]:
    """Four texts of 3 to 12 tokens, whose end is the highest, and the mask of their padding."""
    ids = torch.randint(3, 38, (4, 12), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    for row, length in enumerate((12, 3, 8, 5)):
        ids[row, length - 1], ids[row, length:], mask[row, length:] = 39, 1, 0
    return ids, mask


@some([*VIT])
def test_a_vit_sees_the_same(case: str, tmp_path: Path) -> None:
    reference = their_vit(case, tmp_path)
    model = our_vit(tmp_path)
    with torch.no_grad():
        expected = reference(pictures(model))
        hidden = model(pictures(model))
        assert (hidden - expected.last_hidden_state).abs().max() < 1e-4
        assert (model.pooled(hidden) - expected.pooler_output).abs().max() < 1e-4


@some([*VIT], 1)
def test_a_vit_gives_the_same_labels(case: str, tmp_path: Path) -> None:
    reference = their_vit(case, tmp_path, classifies=True)
    model = our_vit(tmp_path)
    assert model.config.id2label == {0: "a", 1: "b", 2: "c"}
    with torch.no_grad():
        assert (model(pictures(model)) - reference(pictures(model)).logits).abs().max() < 1e-4


@some([*DUAL])
def test_texts_and_pictures_get_the_same_vectors(case: str, tmp_path: Path) -> None:
    reference = their_dual(case, tmp_path)
    model = our_dual(tmp_path)
    ids, mask = texts()
    given = {"attention_mask": mask} if case.startswith("clip") else {}  # SigLIP's texts see their padding
    with torch.no_grad():
        expected = reference(input_ids=ids, pixel_values=pictures(model), **given)
        text, image = model.embed_text(ids, mask), model.embed_image(pictures(model))
        assert (text - expected.text_embeds).abs().max() < 1e-4
        assert (image - expected.image_embeds).abs().max() < 1e-4
        assert (F.cosine_similarity(text, expected.text_embeds) > 0.99999).all()
        assert (model.similarity(text, image) - expected.logits_per_text).abs().max() < 1e-4
        hidden = reference.text_model(ids, **given).last_hidden_state
        assert ((model(ids, **given) - hidden) * mask[..., None]).abs().max() < 1e-4


def prompts(model: SmolVLM) -> tuple[Tensor, Tensor]:
    """Two texts of equal length, of one picture and of two, with other words between."""
    count = model.tokens_per_image
    words = torch.randint(0, 39, (2, 9), generator=torch.Generator().manual_seed(1))
    place = torch.full((count,), IMAGE)
    filler = torch.randint(0, 39, (count,), generator=torch.Generator().manual_seed(4))
    rows = (
        torch.cat([words[0, :2], place, words[0, 2:], filler]),
        torch.cat([place, words[1, :5], place, words[1, 5:]]),
    )
    return torch.stack(rows), pictures(model)


def per_row(images: Tensor) -> Tensor:
    """As transformers takes them: (B, most pictures of a row, …), where one is all zeros there is none."""
    return torch.stack([torch.stack([images[0], torch.zeros_like(images[0])]), images[1:]])


@some([*SEEING])
def test_logits_of_a_text_with_pictures_are_the_same(case: str, tmp_path: Path) -> None:
    reference = their_seeing(case, tmp_path)
    model = our_seeing(tmp_path)
    ids, images = prompts(model)
    with torch.no_grad():
        expected = reference(ids, pixel_values=per_row(images)).logits
        assert (model(ids, pixel_values=images) - expected).abs().max() < 1e-4
        words = ids.masked_fill(ids == IMAGE, 3)
        assert (model(words) - reference(words).logits).abs().max() < 1e-4


@some([*SEEING], 0)
def test_thirty_two_greedy_tokens_after_pictures_are_equal(case: str, tmp_path: Path) -> None:
    reference = their_seeing(case, tmp_path)
    model = our_seeing(tmp_path)
    ids, images = prompts(model)
    expected = reference.generate(
        ids, pixel_values=per_row(images), max_new_tokens=32, do_sample=False, attention_mask=torch.ones_like(ids)
    )
    state = model.init_state(2)
    with torch.no_grad():
        new = model(ids, state=state, pixel_values=images)[:, -1:].argmax(dim=-1)
        found = [ids, new]
        for _ in range(31):
            new = model(new, state=state)[:, -1:].argmax(dim=-1)
            found.append(new)
    assert torch.equal(torch.cat(found, dim=1), expected)


def exact(model: transformers.PreTrainedModel) -> transformers.PreTrainedModel:
    """In float64, also the norms that cast to fp32 whatever they are given."""
    for name, module in list(model.named_modules()):
        if type(module).__name__.endswith("RMSNorm"):
            parent, _, child = name.rpartition(".")
            norm = RMSNorm(module.weight.numel(), module.variance_epsilon)
            norm.weight = module.weight
            setattr(model.get_submodule(parent), child, norm)
    return model.double()


@some(["vit: plain", "clip: plain", "siglip: plain", "smolvlm: plain", "idefics3: tied"])
def test_values_and_gradients_of_all_weights_are_equal_in_fp64(case: str, tmp_path: Path) -> None:
    """Of one number that all of a model has made."""
    load = load_image_encoder if case.startswith("vit") else load_model
    if case in SEEING:
        reference = exact(their_seeing(case, tmp_path))
        model = load_model(tmp_path, dtype=torch.float64)[1]
        assert isinstance(model, SmolVLM)
        ids, images = prompts(model)
        images = images.double()
        theirs = reference(ids, pixel_values=per_row(images)).logits.cos().sum()
        ours = model(ids, pixel_values=images).cos().sum()
    elif case in DUAL:
        reference = exact(their_dual(case, tmp_path))
        model = load_model(tmp_path, dtype=torch.float64)[1]
        assert isinstance(model, DualEncoder)
        ids, images = texts()[0], pictures(model).double()
        theirs = reference(input_ids=ids, pixel_values=images).logits_per_text.cos().sum()
        ours = model.similarity(model.embed_text(ids), model.embed_image(images)).cos().sum()
    else:
        reference = exact(their_vit("plain", tmp_path))
        model = load_image_encoder(tmp_path, dtype=torch.float64)[1]
        assert isinstance(model, ViT)
        images = pictures(model).double()
        theirs = reference(images).pooler_output.cos().sum()
        ours = model.pooled(model(images)).cos().sum()
    assert abs((ours - theirs).item()) < 1e-9
    theirs.backward()
    ours.backward()
    for weight in reference.parameters():  # as weights, gradients take the way of the files
        assert weight.grad is not None
        weight.data = weight.grad
    reference.save_pretrained(tmp_path / "gradients")
    gradients = load(tmp_path / "gradients")[1]
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.grad, gradients.get_parameter(name).detach(), rtol=1e-8, atol=1e-8)


@some(["vit", *SEEING, *DUAL, "vit: labels"], 0)
def test_transformers_loads_what_we_save(case: str, tmp_path: Path) -> None:
    """No key is missing or too many, and both answer as before."""
    source, target = tmp_path / "theirs", tmp_path / "ours"
    target.mkdir()
    if case in SEEING:
        their_seeing(case, source)
        kind = transformers.AutoModelForImageTextToText
    elif case in DUAL:
        their_dual(case, source)
        kind = transformers.AutoModel
    else:
        their_vit("plain", source, classifies=case != "vit")
        kind = transformers.AutoModel if case == "vit" else transformers.AutoModelForImageClassification
    load = load_image_encoder if case.startswith("vit") else load_model
    family, model = load(source)
    save_model(target, model, family)
    reference, report = kind.from_pretrained(target, output_loading_info=True)
    assert not any(report.values()), report
    again = load(target)[1]
    assert again.config == model.config
    assert all(torch.equal(weight, again.state_dict()[name]) for name, weight in model.state_dict().items())
    first = kind.from_pretrained(source)
    before, after = first.state_dict(), reference.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


PUBLISHED: dict[str, dict[str, Any]] = {
    "clip": {
        "model_type": "clip",
        "architectures": ["CLIPModel"],
        "initializer_factor": 1.0,
        "logit_scale_init_value": 2.6592,
        "projection_dim": 512,
        "text_config": {
            "add_cross_attention": False,
            "bos_token_id": 0,
            "dropout": 0.0,
            "eos_token_id": 2,
            "intermediate_size": 2048,
            "length_penalty": 1.0,
            "model_type": "clip_text_model",
            "num_attention_heads": 8,
            "pruned_heads": {},
            "top_k": 50,
        },
        "text_config_dict": None,
        "vision_config": {"hidden_size": 768, "is_decoder": False, "patch_size": 32, "top_p": 1.0},
        "vision_config_dict": None,
    },
    "siglip": {
        "model_type": "siglip",
        "architectures": ["SiglipModel"],
        "initializer_factor": 1.0,
        "text_config": {"model_type": "siglip_text_model"},
        "vision_config": {"model_type": "siglip_vision_model"},
    },
    "idefics3": {
        "model_type": "idefics3",
        "architectures": ["Idefics3ForConditionalGeneration"],
        "image_token_id": 49190,
        "scale_factor": 4,
        "text_config": {
            "_flash_attn_2_enabled": True,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "is_llama_config": True,
            "max_position_embeddings": 8192,
            "model_type": "llama",
            "num_attention_heads": 9,
            "num_hidden_layers": 30,
            "num_key_value_heads": 3,
            "pad_token_id": 2,
            "pixel_shuffle_factor": 4,
            "qk_layer_norms": False,
            "rms_norm_eps": 1e-05,
            "rope_interleaved": False,
            "rope_theta": 100000,
            "use_resampler": False,
            "vocab_size": 49280,
        },
        "tie_word_embeddings": False,
        "pad_token_id": 128002,
        "use_cache": False,
        "vision_config": {
            "hidden_size": 768,
            "image_size": 512,
            "max_image_size": {"longest_edge": 512},
            "num_attention_heads": 12,
            "patch_size": 16,
            "size": {"longest_edge": 2048},
            "tie_word_embeddings": False,
            "use_base_siglip": False,
        },
        "vocab_size": 49280,
    },
}
"""Of settings as in published files, those that older versions of transformers wrote among them."""


@pytest.mark.parametrize("kind", PUBLISHED)
def test_settings_of_published_files_mean_what_transformers_reads(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED[kind]))
    family, config = read_config(tmp_path)
    with torch.device("meta"):
        reference = transformers.AutoModelForPreTraining if kind == "idefics3" else transformers.AutoModel
        theirs = reference.from_config(transformers.AutoConfig.from_pretrained(tmp_path))
    assert sum(each.numel() for each in family.outline(config).parameters()) == theirs.num_parameters()
    told = theirs.config.text_config
    for key in ("hidden_act", "max_position_embeddings", "num_attention_heads", "pad_token_id", "eos_token_id"):
        if key != "eos_token_id" or kind != "idefics3":  # Llama's default, which no file of SmolVLM means
            assert getattr(config, key) == getattr(told, key), key
    for key in type(config.vision_config).model_fields:  # type: ignore[attr-defined]
        assert getattr(config.vision_config, key) == getattr(theirs.config.vision_config, key, 0.02), key  # type: ignore[attr-defined]
