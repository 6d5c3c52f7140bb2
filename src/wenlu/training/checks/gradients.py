"""Whether the gradient reaches every weight that is trained, and points downhill."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from wenlu.tasks import Batch, ReplacedTokens
from wenlu.training.checks.finding import Finding
from wenlu.training.checks.subject import Subject

HEADS = ("task_head.", "lm_head.")
WHOLES = ("", "body")
"""Modules that hold all others."""
STEP = 0.01
"""The share of the loss that a step along the gradient is to change."""
LEAST_AGREEING, AGREEING = 0.3, 0.7
"""Of the change that the gradient promises, what a step must bring, and should."""


def gradients(subject: Subject, batch: Batch) -> list[Finding]:
    """Of a loss on weights that moved a little, since a new model's outputs begin at zero."""
    moved = subject.jittered()
    with _called(moved.model) as called:
        loss = moved.loss(batch)
    if not loss.sum.requires_grad:
        fix = "Is everything frozen, or the loss cut off from the weights (detach, item, no_grad)?"
        return [Finding("gradients", "failure", "the loss depends on no weight that is trained", fix)]
    torch.autograd.backward(loss.sum)
    return [_reached(moved, called), _heads(moved, batch), *_direction(moved, batch)]


@contextmanager
def _called(model: nn.Module) -> Iterator[set[str]]:
    """The names of the modules that are called within."""
    names: set[str] = set()
    hooks = [
        module.register_forward_pre_hook(lambda _module, _given, name=name: names.add(name))
        for name, module in model.named_modules()
        if name not in WHOLES
    ]
    yield names
    for hook in hooks:
        hook.remove()


def _is_in_use(name: str, called: set[str]) -> bool:
    """Whether the weight is of a part that was called, or of a head; a base may have others, as BERT's pooler."""
    parts = name.split(".")[:-1]
    owners = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return bool(owners & called) or name.startswith(HEADS)


def _reached(moved: Subject, called: set[str]) -> Finding:
    trained = {name: weight for name, weight in moved.model.named_parameters() if weight.requires_grad}
    silent = [name for name, weight in trained.items() if weight.grad is None or not bool(weight.grad.any())]
    spoilt = [
        name
        for name, weight in trained.items()
        if weight.grad is not None and not bool(torch.isfinite(weight.grad).all())
    ]
    unused = [name for name in silent if not _is_in_use(name, called)]
    silent = [name for name in silent if name not in unused]
    numbers = {"trained": len(trained), "silent": len(silent), "spoilt": len(spoilt), "unused": len(unused)}
    if spoilt:
        fix = "Look for a division by zero or an overflow on the way from these weights to the loss."
        said = f"the gradient of {len(spoilt)} of {len(trained)} tensors is not finite, as of {spoilt[0]}"
        return Finding("gradients", "failure", said, fix, numbers)
    if silent:
        fix = "Connect them to the loss, or freeze them (train.frozen): as they are they never learn."
        said = f"the gradient does not reach {len(silent)} of {len(trained)} tensors: {', '.join(silent[:3])}"
        return Finding("gradients", "failure", said, fix, numbers)
    said = f"the gradient reaches all of {len(trained) - len(unused)} tensors that are trained, and is finite"
    if unused:
        said += f"; {len(unused)} others are not used, as {unused[0]}"
    return Finding("gradients", "pass", said, numbers=numbers)


def _heads(moved: Subject, batch: Batch) -> Finding:
    """Whether a new head, on which the loss depends, is frozen."""
    frozen = {name: weight for name, weight in moved.model.named_parameters() if not weight.requires_grad}
    for weight in frozen.values():
        weight.requires_grad_(True)
    needed = _gradients_of(moved, batch, frozen)
    for weight in frozen.values():
        weight.requires_grad_(False)
    heads = [name for name in needed if name.startswith(HEADS if moved.is_new else HEADS[:1])]
    if heads:
        said = f"{', '.join(heads[:3])} begins at random and is frozen"
        return Finding("head", "failure", said, "Take the head out of train.frozen: nothing teaches it what to say.")
    said = f"no new head is frozen ({len(needed)} other tensors are)" if needed else "nothing that it needs is frozen"
    return Finding("head", "pass", said)


def _gradients_of(moved: Subject, batch: Batch, weights: Mapping[str, Tensor]) -> list[str]:
    """Those of the weights that the loss depends on."""
    if not weights:
        return []
    found = torch.autograd.grad(moved.loss(batch).sum, [*weights.values()], allow_unused=True)
    return [name for name, value in zip(weights, found, strict=True) if value is not None and bool(value.any())]


@torch.no_grad()
def _direction(moved: Subject, batch: Batch) -> list[Finding]:
    """Whether the loss falls against the gradient as much as this promises (central difference)."""
    if isinstance(moved.task, ReplacedTokens):  # whose generator draws what the rest is asked about
        return []
    weights = [weight for weight in moved.model.parameters() if weight.grad is not None]
    norm = math.sqrt(sum(float(weight.grad.double().square().sum()) for weight in weights if weight.grad is not None))
    before = moved.loss(batch).sum.item()
    if not (math.isfinite(norm) and norm and math.isfinite(before)):
        return []
    size = STEP * max(abs(before), 1e-3) / norm
    ends = []
    for sign in (1.0, -2.0):
        for weight in weights:
            assert weight.grad is not None, "only weights with a gradient were kept"
            weight.add_(weight.grad, alpha=sign * size / norm)
        ends.append(moved.loss(batch).sum.item())
    agreement = (ends[0] - ends[1]) / (2 * size * norm)
    numbers = {"agreement": agreement}
    said = f"a small step along the gradient changes the loss by {agreement:.2f} of what it promises"
    if not math.isfinite(agreement) or not LEAST_AGREEING <= agreement <= 1 / LEAST_AGREEING:
        fix = "The gradient is not that of the loss: is its sign turned, or a hook or a custom backward pass wrong?"
        return [Finding("gradient-direction", "failure", said, fix, numbers)]
    verdict = "pass" if AGREEING <= agreement <= 1 / AGREEING else "warning"
    fix = "" if verdict == "pass" else "Look at custom backward passes: the gradient is not quite that of the loss."
    return [Finding("gradient-direction", "pass" if verdict == "pass" else "warning", said, fix, numbers)]
