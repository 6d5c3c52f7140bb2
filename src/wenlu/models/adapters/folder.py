"""An adapter as a folder in peft's layout, and the model that it and a base make."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wenlu.config import check
from wenlu.errors import ConfigError, WeightsError
from wenlu.models.adapters import peft_config, peft_file
from wenlu.models.adapters.attach import DEFAULT, adapter_in_use, adapters_named, attach, without_adapters
from wenlu.models.adapters.base_facts import read_base
from wenlu.models.adapters.places import Places, places_of
from wenlu.models.adapters.target import targets_in
from wenlu.models.family import Ability, Family, LanguageModel, ModelConfig
from wenlu.models.quantised import GridConfig, quantisable, quantise_linears
from wenlu.models.weights.files import config_path, some
from wenlu.models.weights.layout import fill, read_config
from wenlu.models.weights.rules import Entries, Stored, invert_rules

_TASKS = {
    "sequence-classification": "SEQ_CLS",
    "token-classification": "TOKEN_CLS",
    "question-answering": "QUESTION_ANS",
    "none": "FEATURE_EXTRACTION",
}
"""What peft calls the purpose of a model that ends so."""


def is_adapter(folder: Path) -> bool:
    return (folder / peft_config.FILE).is_file()


def write_adapter(
    folder: Path, model: LanguageModel, family: Family, *, base: str | None, whole: Collection[str] = ()
) -> None:
    """Write the adapter in use into an existing folder, and those weights that were trained `whole`, by name."""
    name = adapter_in_use(model)
    assert name is not None, "whoever asks for an adapter's file has one in use"
    places = places_of(family, model.config)
    parts = peft_file.fused(adapters_named(model, name), places, targets_in(model))
    keys = [key for key, held in places.items() if any(place.ours in whole for place in held)]
    ours = {key: Stored.of(tensor.detach()) for key, tensor in without_adapters(model).items()}
    theirs = invert_rules(family.rules, ours, model.config)
    modules = tuple(dict.fromkeys(key.rpartition(".")[0] for key in keys))
    if both := [module for module in modules if module in parts]:
        raise WeightsError(f"{both[0]}: is adapted and has other weights that were trained; peft has no file for both")
    peft_file.write_tensors(folder, parts, {key: theirs[key].read() for key in keys})
    peft_config.write_config(
        folder,
        {module: part.form for module, part in parts.items()},
        base=base,
        targets=_short(parts.keys(), places),
        whole=modules,
        task=_task(model, family),
        is_transposed=any(part.is_transposed for part in parts.values()),
    )


def assemble(
    folder: Path, family: Family, base: LanguageModel, *, dtype: torch.dtype | None = None, name: str = DEFAULT
) -> LanguageModel:
    """The model, in evaluation mode, that the adapter of the folder makes of a base, which stays as it is.

    Both share the base's weights, unless these are converted to `dtype`.

    Raises:
        WeightsError: what of the folder is unknown, or does not fit this base.
    """
    settings = peft_config.read_config(folder)
    parts, saved = peft_file.read_tensors(folder)
    config = _config(folder, family, base.config, settings.task, saved)
    places = places_of(family, config)
    model = family.outline(config)
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    whole = _whole(folder, family, saved, places, shapes)
    there = without_adapters(base)
    missing = sorted(shapes.keys() - whole.keys() - there.keys())
    if missing:
        raise WeightsError(f"{folder}: neither the adapter nor its base has {some(missing)}")
    entries = {key: Stored.of(whole[key] if key in whole else there[key].detach()) for key in shapes}
    wrong = [key for key, item in entries.items() if item.shape != shapes[key]]
    if wrong:
        key = wrong[0]
        raise WeightsError(
            f"{folder}: {key} has shape {list(entries[key].shape)} and should have {list(shapes[key])}; was the "
            "adapter made for this base?"
        )
    fill(model, entries, dtype or next(base.parameters()).dtype)
    facts = read_base(folder)
    if facts is not None:
        keep_in_bits(model, facts.bits, whole)
    attach(model, peft_file.adapters_in(folder, settings, parts, places, targets_in(model)), name)
    return model.eval()


def keep_in_bits(model: LanguageModel, bits: int, whole: Collection[str]) -> None:
    """Hold the linear maps inside the layers in 8 or 4 bits, in place, but for weights that are trained `whole`."""
    if bits == 16:
        return
    names = [name for name in quantisable(model) if f"{name}.weight" not in whole]
    quantise_linears(model, GridConfig(bits=8 if bits == 8 else 4), names)


def whole_in(folder: Path, family: Family, config: ModelConfig) -> tuple[str, ...]:
    """Our names of the weights that an adapter's folder holds whole."""
    places = places_of(family, config)
    saved = peft_file.read_tensors(folder)[1]
    return tuple(place.ours for key in saved for place in places.get(key, ()))


def base_named(folder: Path) -> str:
    """What `load` takes for the base of an adapter's folder; raises WeightsError where it does not say."""
    facts = read_base(folder)
    if facts is not None:
        return facts.base
    base = peft_config.read_config(folder).base
    if base is None:
        raise WeightsError(
            f"{folder / peft_config.FILE}: base_model_name_or_path is empty; write there what the adapter stands "
            "beside, a folder or a hub id, or give it to a model that is loaded: wenlu.load(BASE).with_adapter(FOLDER)"
        )
    return base


def _config(folder: Path, family: Family, base: ModelConfig, task: str | None, saved: Entries) -> ModelConfig:
    """What the folder says; else the base's, ending as the adapter's task does."""
    if config_path(folder).is_file():
        own, config = read_config(folder)
        if own is not family:
            raise WeightsError(f"{folder}: is an adapter of family {own.name}, and its base of {family.name}")
        return config
    head = next((head for head, name in _TASKS.items() if name == task and head in family.heads), None)
    if head is None or head == "none" or getattr(base, "head", None) == head:
        return base
    rows = next(
        (item.shape[0] for key, item in saved.items() if key.endswith(("classifier.weight", "outputs.weight"))), 2
    )
    settings: dict[str, Any] = {k: v for k, v in base.model_dump().items() if k not in ("id2label", "label2id")}
    labels = {number: f"LABEL_{number}" for number in range(rows)}
    try:
        return check(family.config, {**settings, "head": head, "id2label": labels}, where=str(folder))
    except ConfigError as error:
        raise WeightsError(str(error)) from error


def _whole(
    folder: Path, family: Family, saved: Entries, places: Places, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for key, item in saved.items():
        if key not in places:
            raise WeightsError(f"{folder}: {key} has no place in {family.name}; was the adapter made for this base?")
        for place in places[key]:
            shape = shapes[place.ours]
            rows = item.shape[-1 if place.is_transposed else 0] if item.shape else 1
            if rows < place.end or item.read().numel() * (place.end - place.begin) != torch.Size(shape).numel() * rows:
                raise WeightsError(f"{folder}: {key} has shape {list(item.shape)}, and {place.ours} {list(shape)}")
            found[place.ours] = place.read(item.read(), shape)
    return found


def _short(modules: Collection[str], places: Places) -> Sequence[str]:
    """Their names of the adapted maps: the last parts alone where no other map has one of these."""
    last = {module.rpartition(".")[2] for module in modules}
    known = {key.removesuffix(".weight") for key in places if key.endswith(".weight")}
    alike = {module for module in known if module.rpartition(".")[2] in last}
    return sorted(last if alike == set(modules) else modules)


def _task(model: LanguageModel, family: Family) -> str | None:
    if Ability.CAUSAL in family.abilities:
        return "CAUSAL_LM"
    if Ability.ENCODER_DECODER in family.abilities:
        return "SEQ_2_SEQ_LM"
    return _TASKS.get(str(getattr(model.config, "head", "")))
