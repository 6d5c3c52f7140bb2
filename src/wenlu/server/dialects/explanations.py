"""Wenlu's own: why a model answers as it does, with what the explanation is worth."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter
from msgspec import UNSET, Struct, UnsetType
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from wenlu.server.dialects.documents import documented
from wenlu.server.dialects.fields import ANY, Asked, refused, told_as, wrong
from wenlu.server.dialects.sse import answered
from wenlu.server.dialects.tasks import Example, TaskUsage, example_of
from wenlu.server.http.body import read_json
from wenlu.server.http.caller import caller_of
from wenlu.server.http.errors import ApiError
from wenlu.server.http.gateway import Gateway
from wenlu.server.messages import Explain, Explained, ModelInfo
from wenlu.server.settings import Limits

MethodName = Literal[
    "auto", "input-x-gradient", "integrated-gradients", "occlusion", "shapley", "attention-rollout", "attention",
    "weights",
]  # fmt: skip
UnitName = Literal["auto", "token", "character", "word", "sentence"]
BaselineName = Literal["auto", "mask", "pad", "mean", "zero"]


class ExplainRequest(Asked):
    """`input` is a text, or an example as an object of its columns; the others are settings of `wenlu explain`.

    `target` is the label, tag, trait, span or token that is explained, by default the model's answer, and `against`
    another one in contrast to it; `at` is the word of a tagger whose tag is explained.
    """

    ignored: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType({"metadata": ANY})

    model: str
    input: Example
    target: str | None = None
    against: str | None = None
    at: str | None = None
    method: MethodName = "auto"
    unit: UnitName = "auto"
    baseline: BaselineName = "auto"
    samples: Annotated[int, Field(ge=2)] | None = None
    orders: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 0
    user: str | None = None

    def check(self, model: ModelInfo, limits: Limits) -> None:
        """Raise ApiError for what the schema cannot say."""
        most = {"samples": limits.explain_samples, "orders": limits.explain_orders}
        for name, allowed in most.items():
            given = getattr(self, name)
            if given is not None and given > allowed:
                raise wrong(name, f"{given}; at most {allowed} are drawn")
        if self.at is not None and "extract" not in model.abilities:
            raise refused("at", f"at names a word whose tag is explained, and {model.name} gives words no tags")
        if self.samples is not None and self.method != "shapley":
            raise refused("samples", 'samples are drawn for "method": "shapley" alone; leave it out')

    def settings(self) -> dict[str, Any]:
        """Those that were given."""
        apart = {"model", "input", "user"}
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set - apart}


_NAMES = {"example": "input", **{f"settings.{name}": name for name in ExplainRequest.model_fields}}


class ExplainedNumber(Struct, frozen=True):
    """`value` is what the number is, as "logit"; `chance` what falls where something that mattered is taken out."""

    target: str
    against: str | None
    value: str
    chance: str


class AttributedUnit(Struct, frozen=True, omit_defaults=True):
    """`start` and `end` count characters of the text `part`; `attribution` is null where the model did not read it."""

    part: str
    text: str
    start: int
    end: int
    attribution: float | None
    error: float | UnsetType | None = UNSET


class Elsewhere(Struct, frozen=True):
    name: str
    attribution: float


class ExplanationCertificate(Struct, frozen=True):
    """An explanation whose verdict is not "valid" should not be shown as if it were; `reasons` say why."""

    verdict: Literal["valid", "unconverged", "unfaithful"]
    reasons: list[Any]
    method: str
    baseline: str
    unit: str
    value: float
    base: float
    completeness_error: float | None
    steps: int | None
    randomisation: float | None
    randomisations: int
    stability: float | None
    seed: int
    model: str
    tokenizer: str | None
    comprehensiveness: dict[str, float]
    sufficiency: dict[str, float]
    orders: int
    percentile: float
    p_value: float
    can_be_told: bool


class Explanation(Struct, frozen=True, kw_only=True):
    """What `wenlu explain --json` tells; beside these fields those of the answer, as the task gives them."""

    object: Literal["explanation"]
    model: str
    id: str
    task: str
    prediction: Any
    explained: ExplainedNumber
    texts: dict[str, str]
    attributions: list[AttributedUnit]
    elsewhere: list[Elsewhere]
    certificate: ExplanationCertificate
    seconds: float
    usage: TaskUsage


def routes(gateway: Gateway) -> APIRouter:
    router = APIRouter()

    @router.post("/v1/explain", **documented("Explain an answer", ExplainRequest, Explanation))
    async def explain(request: Request) -> Response:
        asked, headers = ExplainRequest.of(await read_json(request, gateway.limits))
        model = gateway.model(asked.model, "explain")
        asked.check(model, gateway.limits)
        with told_as(_NAMES, "input"):
            reply = await _asked(gateway, request, asked, model)
        usage = {"prompt_tokens": reply.tokens, "total_tokens": reply.tokens}
        return answered({"object": "explanation", "model": model.name, **reply.told, "usage": usage}, headers)

    return router


async def _asked(gateway: Gateway, request: Request, asked: ExplainRequest, model: ModelInfo) -> Explained:
    limits = gateway.limits
    question = Explain(
        id=gateway.next_id(),
        model=model.name,
        example=example_of(asked.input, model, "input"),
        settings=asked.settings(),
        most_tokens=limits.explain_tokens,
        deadline_seconds=min(limits.explain_seconds, limits.answer_seconds),
    )
    try:
        reply = await gateway.ask(caller_of(request), question)
    except ApiError as error:
        if error.code == "deadline_exceeded":
            error.retry_after = None  # it would take as long again
        raise
    assert isinstance(reply, Explained), "a question why is answered with an explanation"
    return reply
