"""A model out of a GGUF file: its architecture's row says which family it is and what its keys and tensors mean."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from wenlu.config import check, did_you_mean
from wenlu.errors import ConfigError, WeightsError
from wenlu.models.weights.gguf.architecture import Architecture, Keys, Settings
from wenlu.models.weights.gguf.architectures import ARCHITECTURES
from wenlu.models.weights.gguf.header import Header, read_header
from wenlu.models.weights.gguf.tensors import stored_tensors
from wenlu.models.weights.layout import check_fit, fill
from wenlu.models.weights.rules import Entries, apply_rules

if TYPE_CHECKING:
    from wenlu.models.family import Family, LanguageModel

_IDS = {
    "bos_token_id": "tokenizer.ggml.bos_token_id",
    "eos_token_id": "tokenizer.ggml.eos_token_id",
    "pad_token_id": "tokenizer.ggml.padding_token_id",
}
END_OF_TURN = "tokenizer.ggml.eot_token_id"


def load_gguf(path: Path, *, dtype: torch.dtype | None = None) -> tuple[Family, LanguageModel, Header]:
    """The model of a GGUF file, in evaluation mode, and the header with all that the file says of its tokenizer.

    Args:
        dtype: convert the weights to it; by default blocks become float32 and floats stay as stored, but vectors, which
            most files have in float32, take the type of the matrices, since a model computes in one.

    Raises:
        WeightsError: what does not fit, and where.
        MissingExtra: blocks, without the gguf package.
    """
    from wenlu.models import family

    header = read_header(path)
    architecture = _architecture(header)
    row = family(architecture.family)
    tensors = stored_tensors(header)
    try:
        settings = _settings(architecture, header, tensors)
        if len(row.heads) > 1:
            settings["head"] = next(iter(row.heads))
        config = check(row.config, settings, where=str(path))
        entries = apply_rules(architecture.rules, tensors, config)
    except ConfigError as error:
        raise WeightsError(str(error)) from error
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    model = row.outline(config)
    check_fit(path, row, model, entries, settings="its metadata")
    matrices = (item.dtype for item in entries.values() if len(item.shape) > 1)
    fill(model, entries, dtype or reduce(torch.promote_types, matrices))
    return row, model.eval(), header


def _architecture(header: Header) -> Architecture:
    name = str(header.metadata.get("general.architecture", ""))
    kind = header.metadata.get("general.type", "model")
    if kind != "model":
        raise WeightsError(
            f"{header.path}: holds a {kind!r:.40}, not a model (general.type); give the model's own file"
        )
    if header.metadata.get("split.count", 1) not in (0, 1):
        raise WeightsError(
            f"{header.path}: one of {header.metadata['split.count']!r:.40} parts (split.count); "
            "join them with llama-gguf-split --merge"
        )
    known = {row.name: row for row in reversed(ARCHITECTURES)}  # the first of a name is read
    if name not in known:
        hint = did_you_mean(name[:40], known)
        raise WeightsError(f"{header.path}: general.architecture {name!r:.40} is none that Wenlu reads; {hint}")
    return known[name]


def _settings(architecture: Architecture, header: Header, tensors: Entries) -> Settings:
    """The settings of the config; takes tensors that are settings; raises WeightsError for keys without a meaning."""
    keys = Keys(architecture.name, header.metadata)
    settings: dict[str, Any] = {
        field: value for key, field in architecture.keys.items() if (value := keys.take(key)) is not None
    }
    embedding = tensors.get("token_embd.weight")
    if embedding is not None:
        settings.setdefault("vocab_size", embedding.shape[0])
    settings |= architecture.fixed
    settings |= architecture.read(keys, tensors, settings)
    unknown = sorted(keys.left.keys() - architecture.harmless)
    if unknown:
        names = ", ".join(f"{architecture.name}.{key} = {keys.left[key]!r:.40}" for key in unknown[:5])
        raise WeightsError(f"{names}: {len(unknown)} keys without a meaning for family {architecture.family}")
    return settings | _token_ids(header.metadata)


def _token_ids(metadata: dict[str, Any]) -> Settings:
    ids = {field: metadata[key] for field, key in _IDS.items() if key in metadata}
    end, turn = ids.get("eos_token_id"), metadata.get(END_OF_TURN)
    if turn is not None and turn != end:
        ids["eos_token_id"] = turn if end is None else [end, turn]
    return ids
