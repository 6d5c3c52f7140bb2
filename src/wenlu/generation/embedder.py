"""A bare encoder as what it is mostly downloaded for: it makes vectors of texts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from wenlu.bundle import Bundle
from wenlu.errors import WeightsError
from wenlu.models.layers.encoder import Encoder
from wenlu.models.weights.files import read_json
from wenlu.tasks import Embedding
from wenlu.tasks.embedding import EmbeddingConfig

MODULES, POOLING = "modules.json", "1_Pooling/config.json"
"""What sentence-transformers writes beside a model."""

_WAYS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "first",
    "pooling_mode_lasttoken": "last",
}


def as_embedder(bundle: Bundle) -> Bundle:
    """A bare encoder with the task of embedding, as sentence-transformers' files beside it say: else the mean of all
    tokens, and vectors of length 1. Any other bundle is returned as it is.

    Raises WeightsError for a way to pool that there is not.
    """
    if bundle.task is not None or not isinstance(bundle.model, Encoder) or bundle.model.config.head != "none":
        return bundle
    config = EmbeddingConfig(
        columns={"anchor": "text"}, pooling=_pooling(bundle.path), normalise=_normalises(bundle.path)
    )
    return replace(bundle, task=Embedding(config, bundle.tokenizer))


def _pooling(folder: Path) -> str:
    path = folder / POOLING
    if not path.is_file():
        return "mean"
    told = read_json(path)
    chosen = sorted(name for name, value in told.items() if name.startswith("pooling_mode") and value is True)
    if len(chosen) == 1 and chosen[0] in _WAYS:
        return _WAYS[chosen[0]]
    raise WeightsError(f"{path}: pools by {' and '.join(chosen) or 'nothing'}; known: {', '.join(_WAYS)}, one of them")


def _normalises(folder: Path) -> bool:
    """Where no modules are listed, too; of those that are, one may divide by the length and one may project."""
    path = folder / MODULES
    if not path.is_file():
        return True
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
        kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
    except (ValueError, TypeError, KeyError) as error:
        raise WeightsError(f"{path}: is no list of modules, each with its type: {error!r}") from error
    unknown = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
    if unknown:
        raise WeightsError(
            f"{path}: has a module {unknown[0]}, which is not known; train an embedding task of your own"
        )
    return "Normalize" in kinds
