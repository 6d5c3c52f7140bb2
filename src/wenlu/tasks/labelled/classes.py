"""A task's model as a class of its family, which transformers has too: `BertForTokenClassification` and its kin."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wenlu.config import check
from wenlu.errors import WeightsError
from wenlu.models import LanguageModel, family_of
from wenlu.models.adapters import carry, without_adapters
from wenlu.models.family import Family, ModelConfig
from wenlu.models.layers.encoder import Encoder
from wenlu.models.quantised import put, quantised_layers
from wenlu.models.weights.layout import fill
from wenlu.models.weights.rules import Stored
from wenlu.tasks.labelled.headed import Headed

CLASSIFIER = ("classifier.weight", "classifier.bias")
"""What a class has that its family's other models do not, beside what it reads hidden states through."""


def linear_of(head: nn.Module) -> nn.Linear | None:
    """The one product that a head consists of; None where it is something else."""
    found = [module for module in head.modules() if isinstance(module, nn.Linear)]
    own = {id(weight) for module in found for weight in module.parameters()}
    is_all = len(found) == 1 and all(id(weight) in own for weight in head.parameters())
    return found[0] if is_all and found[0].bias is not None else None


def missing_parts(body: LanguageModel, class_head: str) -> list[str]:
    """Weights through which the class with this head reads hidden states, and which `body` does not have."""
    family = family_of(body)
    wanted = family.outline(_config(family, body.config, class_head, ())).state_dict().keys()
    return sorted(wanted - _weights(body).keys() - set(CLASSIFIER))


def in_class(headed: Headed, class_head: str, names: Sequence[str]) -> LanguageModel:
    """The model whose own classifier is the task's head, sharing its weights.

    Args:
        names: of its outputs; none: as the class has them by itself.
    """
    body, linear = headed.body, linear_of(headed.task_head)
    assert linear is not None, "the settings know heads that no class has"
    assert not missing_parts(body, class_head), f"{type(body).__name__} was made without {class_head}"
    family = family_of(body)
    model = family.outline(_config(family, body.config, class_head, names))
    known = {**_weights(body), **dict(zip(CLASSIFIER, (linear.weight, linear.bias), strict=True))}
    fill(model, {name: Stored.of(known[name].detach()) for name in model.state_dict()}, None)
    carry(body, model)
    for name, layer in quantised_layers(body).items():
        put(model, name, layer)
    return model.train(headed.training)


def _weights(body: LanguageModel) -> dict[str, Tensor]:
    """By name; of quantised maps what their numbers stand for."""
    dtype = next(body.parameters()).dtype
    whole = {f"{name}.weight": layer.dequantised(dtype) for name, layer in quantised_layers(body).items()}
    return {**without_adapters(body), **whole}


def read_classifier(model: LanguageModel, head: nn.Module, names: Sequence[str]) -> nn.Module:
    """The head with the weights of the model's own classifier, its outputs in the order of `names`.

    Raises WeightsError where the model has none, or others.
    """
    own = model.classifier if isinstance(model, Encoder) else None
    linear = linear_of(head)
    assert linear is not None, "the settings know heads that no class has"
    if own is None:
        raise WeightsError(
            f"{type(model).__name__} has no classifier of its own, but the task says that it has its head"
        )
    rows = torch.arange(own.out_features)
    if names:
        told = model.config.model_dump()["label2id"]
        unknown = [name for name in names if name not in told]
        if unknown or len(names) != len(told):
            raise WeightsError(f"the labels of config.json, {', '.join(told)}, are not the task's: {', '.join(names)}")
        rows = torch.tensor([told[name] for name in names])
    if len(rows) != linear.out_features:
        raise WeightsError(f"the model gives {len(rows)} numbers, but the task reads {linear.out_features}")
    with torch.no_grad():
        linear.weight.copy_(own.weight[rows])
        linear.bias.copy_(own.bias[rows])
    return head


def _config(family: Family, config: ModelConfig, class_head: str, names: Sequence[str]) -> ModelConfig:
    settings = {key: value for key, value in config.model_dump().items() if key not in ("id2label", "label2id")}
    labels = {"id2label": dict(enumerate(names))} if names else {}
    return check(family.config, {**settings, "head": class_head, **labels}, where=f"{family.name} for {class_head}")
