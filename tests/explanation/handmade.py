"""Explanations as dataclasses, of no model: what is known of them is what stands here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wenlu.explanation.certificate import Certificate, Verdict
from wenlu.explanation.explanation import AttentionMap, Attributed, Explanation
from wenlu.explanation.faithfulness import AgainstRandom, Faithfulness
from wenlu.explanation.reasons import Reason
from wenlu.explanation.subject import Part, Told

REASONS: dict[Verdict, tuple[Reason, ...]] = {
    "valid": (),
    "unconverged": (Reason("incomplete", {"percent": 3.21}), Reason("unsteady", {"correlation": 0.31})),
    "unfaithful": (Reason("chance", {"p_value": 0.41}), Reason("independent", {"correlation": 0.47})),
}
Unit = tuple[str, float | None] | tuple[str, float | None, float]
REVIEW: tuple[Unit, ...] = (
    ("酒店位置", 0.0625),
    ("不错", 2.5),
    ("，", -0.125),
    ("但是", -0.25),
    ("服务", 0.21875),
    ("太差", -1.8125),
    ("。", 0.0),
)


def handmade(
    units: Sequence[Unit] = REVIEW,
    *,
    between: str = "",
    verdict: Verdict = "valid",
    elsewhere: tuple[tuple[str, float], ...] = (),
    attention: AttentionMap | None = None,
    answer: dict[str, Any] | None = None,
    against: str | None = None,
    id: str = "text",
    is_signed: bool = True,
    steps: int | None = 8,
) -> Explanation:
    """Of one text: the units with `between` them; the sum misses nothing."""
    attributed, text = [], ""
    for unit in units:
        begin = len(text) + (len(between) if text else 0)
        text += (between if text else "") + unit[0]
        attributed.append(Attributed("text", unit[0], begin, len(text), unit[1], unit[2] if len(unit) > 2 else None))
    total = sum(unit[1] or 0.0 for unit in units) + sum(amount for _, amount in elsewhere)
    certificate = Certificate(
        verdict=verdict,
        reasons=REASONS[verdict],
        method="integrated-gradients",
        baseline="replaced: mask",
        unit="word",
        value=total - 0.5,
        base=-0.5,
        completeness_error=0.0,
        steps=steps,
        faithfulness=Faithfulness(
            AgainstRandom(0.46, -0.01, -0.24, 0.42), AgainstRandom(-0.35, 0.24, -0.27, 0.38), 40, 1.0, 1 / 41, True
        ),
        randomisation=0.12,
        randomisations=5,
        stability=None,
        seed=0,
        model="sha256:" + "a1" * 32,
        tokenizer="b2" * 16,
    )
    told = Told(
        "text-classification",
        {"prediction": "good", "probability": 0.5609} if answer is None else answer,
        "good",
        against,
        "logit" if against is None else "difference of logits",
        "probability",
    )
    return Explanation(
        id, told, (Part("text", text),), tuple(attributed), certificate, elsewhere, is_signed, 1.25, attention
    )


def attention_of(tokens: Sequence[str], *, layers: int = 2, heads: int = 3, seed: int = 0) -> AttentionMap:
    """Rows that sum to 1, of which the sharpness grows with the number of the head."""
    dice = np.random.default_rng(seed)
    sharpness = np.arange(1, heads + 1, dtype=np.float32)[None, :, None, None]
    scores = dice.standard_normal((layers, heads, len(tokens), len(tokens)), np.float32) * sharpness
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return AttentionMap(weights / weights.sum(axis=-1, keepdims=True), tuple(tokens))
