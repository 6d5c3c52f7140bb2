"""What a page says of an explanation before it is said in a language: keys of sentences, and what fills them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from wenlu.explanation.certificate import INDEPENDENT, STEADY, Certificate
from wenlu.explanation.explanation import Explanation
from wenlu.explanation.faithfulness import LEVEL, AgainstRandom
from wenlu.explanation.methods import COMPLETE
from wenlu.explanation.page.amounts import Scale, figure, percent, rounded


@dataclass(frozen=True)
class Saying:
    """A sentence.

    Attributes:
        numbers: by their names in the sentence, as they are written in every language; names from outside, too.
        terms: words of our own by their names in the sentence, which are told in the reader's language.
    """

    key: str
    numbers: Mapping[str, str] = field(default_factory=dict)
    terms: Mapping[str, str] = field(default_factory=dict)


def reasons(certificate: Certificate) -> list[Saying]:
    return [Saying(f"reason.{reason.kind}", reason.written) for reason in certificate.reasons]


def rows(explanation: Explanation) -> list[Saying]:
    """The certificate; of each there are `KEY.label`, `KEY.value` and `KEY.meaning`."""
    told, certificate = explanation.told, explanation.certificate
    found, terms = certificate.faithfulness, {"value": told.value, "chance": told.chance}
    method, how = certificate.method, f"{certificate.method}: how"
    steps = {} if certificate.steps is None else {"steps": f"{certificate.steps:,}"}
    told_rows = [
        Saying("row.method.steps" if steps else "row.method", steps, {"method": method, "how": how}),
        Saying("row.unit", terms={"unit": certificate.unit}),
        Saying("row.baseline", terms={"baseline": certificate.baseline}),
        Saying("row.value", {"number": figure(certificate.value)}, terms),
        Saying("row.base", {"number": figure(certificate.base)}, terms),
    ]
    if certificate.completeness_error is None:
        told_rows.append(Saying("row.complete.none"))
    else:
        missing = {"percent": f"{100 * certificate.completeness_error:.2g}", "limit": f"{100 * COMPLETE:g}"}
        told_rows.append(Saying("row.complete", missing))
    odds = {"percent": f"{100 * found.percentile:.0f}", "orders": f"{found.orders:,}", "p": f"{found.p_value:.3f}"}
    told_rows += [
        Saying("row.comprehensiveness", _against(found.comprehensiveness), terms),
        Saying("row.sufficiency", _against(found.sufficiency), terms),
        Saying("row.orders" if found.can_be_told else "row.orders.few", {**odds, "limit": f"{LEVEL:g}"}),
    ]
    if certificate.randomisation is None:
        told_rows.append(Saying("row.randomisation.none"))
    else:
        alike = {"number": figure(round(certificate.randomisation, 2)), "models": f"{certificate.randomisations}"}
        told_rows.append(Saying("row.randomisation", {**alike, "limit": f"{INDEPENDENT:g}"}))
    if certificate.stability is not None:
        numbers = {"number": figure(round(certificate.stability, 2)), "limit": f"{STEADY:g}"}
        told_rows.append(Saying("row.stability", numbers))
    told_rows.append(Saying("row.seed", {"seed": f"{certificate.seed}", "seconds": f"{explanation.seconds:.3g}"}))
    told_rows.append(Saying("row.model", {"hash": certificate.model}))
    if certificate.tokenizer is not None:
        told_rows.append(Saying("row.tokenizer", {"hash": certificate.tokenizer}))
    return told_rows


def total(explanation: Explanation, scale: Scale) -> Saying | None:
    """How the amounts add up to what the model says; None of a method that promises no sum."""
    certificate = explanation.certificate
    if certificate.completeness_error is None:
        return None
    amounts = [each.attribution for each in explanation.attributions if each.attribution is not None]
    towards = math.fsum(amount for amount in amounts if amount > 0)
    against = math.fsum(amount for amount in amounts if amount < 0)
    rest = math.fsum(amount for _, amount in explanation.elsewhere)
    numbers = {
        "base": rounded(certificate.base, scale.places),
        "towards": scale.written(towards),
        "against": scale.written(against),
        "elsewhere": scale.written(rest),
        "sum": rounded(certificate.base + towards + against + rest, scale.places),
        "whole": rounded(certificate.value, scale.places),
    }
    return Saying("sum.elsewhere" if explanation.elsewhere else "sum", numbers, {"value": explanation.told.value})


def unread(explanation: Explanation) -> Saying | None:
    """Of the units in grey, if there are any."""
    count = sum(each.attribution is None for each in explanation.attributions)
    return Saying("unread.one" if count == 1 else "unread", {"count": f"{count:,}"}) if count else None


def explained(explanation: Explanation) -> Saying:
    """What number, of what and against what."""
    told = explanation.told
    terms = {"value": told.value, "method": explanation.certificate.method}
    if told.against is None:
        return Saying("explained", {"target": told.target}, terms)
    return Saying("explained.against", {"target": told.target, "against": told.against}, terms)


def sure(explanation: Explanation) -> Saying | None:
    """The probability of the answer, where the model gives one."""
    probability = explanation.told.answer.get("probability")
    return Saying("sure", {"percent": percent(probability)}) if isinstance(probability, float | int) else None


def answer(explanation: Explanation) -> str:
    """The prediction as text; empty where there is none."""
    return _plain(explanation.told.answer.get("prediction"))


def _plain(prediction: object) -> str:
    match prediction:
        case None:
            return ""
        case {"text": text, "label": label}:
            return f"{text} ({label})"
        case dict():
            return ", ".join(f"{name}: {value}" for name, value in prediction.items())
        case list() | tuple():
            return ", ".join(_plain(each) for each in prediction)
        case _:
            return str(prediction)


def _against(found: AgainstRandom) -> dict[str, str]:
    return {
        "number": figure(round(found.value, 3)),
        "random": figure(round(found.random_mean, 3)),
        "low": figure(round(found.random_low, 3)),
        "high": figure(round(found.random_high, 3)),
    }
