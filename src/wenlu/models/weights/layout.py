"""A model as a folder in Hugging Face's layout: `config.json` and safetensors; all keys accounted for.

A key of the config that we neither use nor know to be harmless is an error, and so is a tensor without a place
or a place without a tensor. Names and shapes are settled before values are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from wenlu.config import Config, check, did_you_mean
from wenlu.errors import ConfigError, WeightsError
from wenlu.models.quantised import stored as quantised
from wenlu.models.weights import replaced
from wenlu.models.weights.files import CONFIG, config_path, read_json, read_tensors, some, write_tensors
from wenlu.models.weights.rules import Entries, Stored, apply_rules, invert_rules, matches
from wenlu.rundir.atomic import write_text

if TYPE_CHECKING:  # families hold rules, so at run time this module cannot import them first
    from wenlu.models.family import Architecture, Family, LanguageModel, ModelConfig
    from wenlu.models.layers.image_encoder import ImageEncoder, ImageFamily
    from wenlu.models.layers.vision_tower import VisionConfig

Settings = TypeVar("Settings", bound=Config)
Model = TypeVar("Model", bound=nn.Module)
Row = TypeVar("Row", bound="Architecture[Any, Any]")

HARMLESS = frozenset(
    {
        "_attn_implementation",
        "_name_or_path",
        "architectures",
        "chunk_size_feed_forward",
        "dtype",
        "id2label",
        "is_encoder_decoder",
        "label2id",
        "model_type",
        "output_attentions",
        "output_hidden_states",
        "problem_type",
        "return_dict",
        "tokenizer_class",
        "torch_dtype",
        "torchscript",
        "transformers_version",
        "use_cache",
    }
)
"""Keys of any Hugging Face config that say nothing about what a model computes, or what its tensors say."""


def save_model(
    folder: Path,
    model: LanguageModel | ImageEncoder,
    family: Architecture[Any, Any],
    *,
    shard_bytes: int = 5_000_000_000,
) -> None:
    """Write `config.json` and the weights into an existing folder.

    For a family with `hf_types`, stock `transformers` loads it; else only Wenlu does.
    """
    entries = {key: Stored.of(tensor.detach()) for key, tensor in model.state_dict().items()}
    own = {key: entries.pop(key) for key in sorted(replaced.own_keys(model))}
    theirs = {**invert_rules(family.rules, entries, model.config), **own}
    write_tensors(folder, {key: item.read() for key, item in theirs.items()}, shard_bytes=shard_bytes)
    save_config(folder, model, family)


def save_config(
    folder: Path, model: LanguageModel | ImageEncoder, family: Architecture[Any, Any], *, file: str = CONFIG
) -> None:
    """Write `config.json` alone, or what it would hold to another file."""
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    config: dict[str, Any] = {
        "architectures": [_class_name(model, family)],
        "model_type": (*family.hf_types, family.name)[0],
        "dtype": dtype,
        **_settings(model.config),
        **replaced.described(model),
    }
    write_text(folder / file, json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def _settings(config: ModelConfig | VisionConfig) -> dict[str, Any]:
    """What `config.json` says; null only where a reader would else put a default of its own."""
    written = config.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"head"})
    for name, field in type(config).model_fields.items():
        if getattr(config, name) is None and (name in _TOKENS or field.default is not None):
            written[field.alias or name] = None
    return config.grouped(written)


_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")


def load_model(folder: Path, *, dtype: torch.dtype | None = None) -> tuple[Family, LanguageModel]:
    """The language model of a folder, in evaluation mode, its weights mapped into memory; quantised maps stay so.

    Args:
        folder: in Hugging Face's layout.
        dtype: convert the weights to it; by default they stay as stored. Codes and scales always do.

    Raises:
        WeightsError: what does not fit, and where.
    """
    family, config = read_config(folder)
    return family, _load(folder, family, config, dtype)


def load_image_encoder(folder: Path, *, dtype: torch.dtype | None = None) -> tuple[ImageFamily, ImageEncoder]:
    """As `load_model`, of a model that reads pictures alone."""
    from wenlu.models import IMAGE_FAMILIES

    path = config_path(folder)
    content = _content(path)
    family = _family_of(path, content.get("model_type"), IMAGE_FAMILIES)
    return family, _load(folder, family, _config_of(path, family, content), dtype)


def _load(folder: Path, family: Architecture[Settings, Model], config: Settings, dtype: torch.dtype | None) -> Model:
    model = family.outline(config)
    replaced.prepare(model, read_json(folder / "config.json"), where=str(folder / "config.json"))
    entries = read_tensors(folder)
    own = {key: entries.pop(key) for key in replaced.own_keys(model) if key in entries}
    entries = {key: item for key, item in entries.items() if not any(matches(p, key) for p in family.ignored)}
    entries = {**apply_rules(family.rules, entries, config), **own}
    check_fit(folder, family, model, entries)
    fill(model, entries, dtype)
    return model.eval()


def read_config(folder: Path) -> tuple[Family, ModelConfig]:
    """The family and settings that `config.json` speaks of; raises WeightsError for a key without a meaning."""
    from wenlu.models import FAMILIES, IMAGE_FAMILIES

    path = config_path(folder)
    content = _content(path)
    told = content.get("model_type")
    if any(told in family.hf_types for family in IMAGE_FAMILIES):
        raise WeightsError(
            f"{path}: {told} reads pictures and no text, so it is no language model; "
            f"wenlu.models.weights.load_image_encoder reads it"
        )
    family = _family_of(path, told, FAMILIES)
    return family, _config_of(path, family, content)


def _content(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if "auto_map" in content:
        raise WeightsError(f"{path}: auto_map asks to run code from the folder, which Wenlu never does")
    return content


def _config_of(path: Path, family: Architecture[Settings, Any], content: Mapping[str, Any]) -> Settings:
    known = (family.harmless | HARMLESS | replaced.KEYS) - family.config.model_fields.keys()
    settings = {k: v for k, v in content.items() if k not in known}
    if len(family.heads) > 1:
        settings["head"] = _head_of(path, family, content.get("architectures"))
    try:
        return check(family.config, settings, where=str(path))
    except ConfigError as error:
        raise WeightsError(str(error)) from error


def _family_of(path: Path, model_type: object, families: Sequence[Row]) -> Row:
    types = {name: family for family in families for name in family.hf_types or (family.name,)}
    if not isinstance(model_type, str):
        raise WeightsError(f"{path}: no model_type; known: {', '.join(sorted(types))}")
    if model_type not in types:
        raise WeightsError(
            f"{path}: model_type {model_type!r} is no family of Wenlu; {did_you_mean(model_type, types)}"
        )
    return types[model_type]


def _head_of(path: Path, family: Architecture[Any, Any], classes: object) -> str:
    """What the model ends in, which Hugging Face configs say by the name of a class."""
    if not classes:
        return next(iter(family.heads))
    for head, name in family.heads.items():
        if classes == [name]:
            return head
    raise WeightsError(
        f"{path}: architectures {classes!r} is no model of family {family.name}; known: "
        f"{', '.join(family.heads.values())}"
    )


def _class_name(model: LanguageModel | ImageEncoder, family: Architecture[Any, Any]) -> str:
    """The class of transformers that ends as `model` does; our own where the family is only ours."""
    default = next(iter(family.heads), None)
    head = getattr(model.config, "head", default)
    return type(model).__name__ if head is None else family.heads[head]


def check_fit(
    folder: Path, family: Architecture[Any, Any], model: nn.Module, entries: Entries, *, settings: str = "config.json"
) -> None:
    """Raise WeightsError unless each place of `model` has a tensor of its shape, and each tensor a place."""
    places = model.state_dict()
    expected = {key: tuple(tensor.shape) for key, tensor in places.items()}
    missing = sorted(expected.keys() - entries.keys())
    unexpected = sorted(entries.keys() - expected.keys())
    if missing or unexpected:
        both = (("missing", missing), ("unexpected", unexpected))
        faults = [f"{len(names)} {word} {some(names)}" for word, names in both if names]
        types = ", ".join(family.hf_types or (family.name,))
        raise WeightsError(
            f"{folder}: checkpoint does not fit {family.name}: {', '.join(faults)}. Is model_type one of {types}?"
        )
    wrong = [key for key, shape in expected.items() if entries[key].shape != shape]
    if wrong:
        key = wrong[0]
        raise WeightsError(
            f"{folder}: {key} has shape {list(entries[key].shape)}, but {settings} asks for {list(expected[key])}"
            + (f" ({len(wrong)} tensors differ)" if len(wrong) > 1 else "")
        )
    own = quantised.own_keys(model)
    for key, item in entries.items():
        if key in own and item.dtype != places[key].dtype:
            raise WeightsError(f"{folder}: {key} holds {item.dtype}, but {quantised.KEY} asks for {places[key].dtype}")
        if key not in own and not item.dtype.is_floating_point:
            raise WeightsError(f"{folder}: {key} holds {item.dtype}, not floating-point weights")


def fill(model: nn.Module, entries: Entries, dtype: torch.dtype | None) -> None:
    """Put the stored tensors in the places of `model`; parameters that were one object stay one.

    Those of quantised maps keep their types, and do not learn.
    """
    new: dict[int, nn.Parameter] = {}
    own = quantised.own_keys(model)
    for name, module in model.named_modules():
        for key, old in list(module.named_parameters(recurse=False)):
            if id(old) not in new:
                tensor = entries[f"{name}.{key}" if name else key].read()
                tensor = tensor if dtype is None else tensor.to(dtype)
                new[id(old)] = nn.Parameter(tensor, requires_grad=old.requires_grad)
            setattr(module, key, new[id(old)])
        for key in [key for key, _ in module.named_buffers(recurse=False) if f"{name}.{key}" in own]:
            setattr(module, key, entries[f"{name}.{key}"].read())
