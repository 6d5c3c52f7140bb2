"""Wenlu's own: models that were trained for a task, with how sure they are of each answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter
from msgspec import UNSET, Struct, UnsetType, defstruct
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from wenlu.config import did_you_mean
from wenlu.server.dialects.documents import documented
from wenlu.server.dialects.fields import ANY, Asked, refused, told_as, wrong
from wenlu.server.dialects.sse import answered
from wenlu.server.http.body import read_json
from wenlu.server.http.caller import caller_of
from wenlu.server.http.gateway import Gateway
from wenlu.server.messages import Ability, Answer, Answers, ModelInfo
from wenlu.server.settings import Limits

_NAMES = {"examples": "input"}

Example = str | dict[str, Any]
Told = dict[str, Any]


class TaskRequest(Asked):
    """`input` is a text, or an example as an object of its columns, or a list of such.

    `abstain_below`: no prediction where its probability is less; left away, as training found it.
    """

    ignored: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType({"metadata": ANY})

    model: str
    input: Example | Annotated[list[Example], Field(min_length=1)]
    abstain_below: Annotated[float, Field(ge=0, le=1)] | None = None
    user: str | None = None

    def inputs(self) -> list[Example]:
        return self.input if isinstance(self.input, list) else [self.input]

    def examples(self, model: ModelInfo, limits: Limits) -> tuple[dict[str, Any], ...]:
        """One a row, by the model's own columns; raises ApiError."""
        inputs = self.inputs()
        if len(inputs) > limits.inputs:
            raise wrong("input", f"{len(inputs)} inputs; at most {limits.inputs} are answered at once")
        is_list = isinstance(self.input, list)
        return tuple(
            example_of(one, model, f"input.{place}" if is_list else "input") for place, one in enumerate(inputs)
        )


class QuestionRequest(TaskRequest):
    """One question may also stand beside `input`, which is then left away."""

    input: Example | Annotated[list[Example], Field(min_length=1)] | None = None  # type: ignore[assignment]
    question: str | None = None
    context: str | None = None

    def inputs(self) -> list[Example]:
        asked = {"question": self.question, "context": self.context}
        given = {name: text for name, text in asked.items() if text is not None}
        if (self.input is None) != bool(given):
            raise wrong("input", "give input, or question and context")
        return [given] if self.input is None else super().inputs()


class TaskUsage(Struct, frozen=True):
    prompt_tokens: int
    total_tokens: int


class _Row(Struct, frozen=True, kw_only=True, omit_defaults=True):
    index: int
    error: str | UnsetType = UNSET


class Classified(_Row, frozen=True, kw_only=True, omit_defaults=True):
    """`label` is null where the model abstains; the one it would have been is `abstained`. Of several, `labels`."""

    label: str | UnsetType | None = UNSET
    labels: list[str] | UnsetType = UNSET
    probability: float | UnsetType = UNSET
    probabilities: dict[str, float] | UnsetType = UNSET
    abstained: str | UnsetType = UNSET


class Extracted(_Row, frozen=True, kw_only=True, omit_defaults=True):
    """`start` and `end` of an entity count characters of `text`. `tokens` are the words that the model saw."""

    text: str | UnsetType = UNSET
    entities: list[dict[str, Any]] | UnsetType = UNSET
    tokens: list[str] | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET


class Answered(_Row, frozen=True, kw_only=True, omit_defaults=True):
    """`answer` is empty where the context has none, and null where the model abstains. `no_answer` is a probability."""

    answer: str | UnsetType | None = UNSET
    start: int | UnsetType | None = UNSET
    end: int | UnsetType | None = UNSET
    probability: float | UnsetType = UNSET
    alternatives: list[dict[str, Any]] | UnsetType = UNSET
    no_answer: float | UnsetType = UNSET
    abstained: str | UnsetType = UNSET


class Translated(_Row, frozen=True, kw_only=True, omit_defaults=True):
    """`probability` is the geometric mean of the tokens'."""

    text: str | UnsetType | None = UNSET
    probability: float | UnsetType = UNSET
    abstained: str | UnsetType = UNSET


class GradedText(_Row, frozen=True, kw_only=True, omit_defaults=True):
    """Of several traits, `grade`, `probabilities` and `expected` are objects by their names."""

    grade: float | dict[str, float] | UnsetType | None = UNSET
    probability: float | UnsetType = UNSET
    probabilities: dict[str, Any] | UnsetType = UNSET
    expected: float | dict[str, float] | UnsetType = UNSET
    abstained: float | dict[str, float] | UnsetType = UNSET


def _list_of(row: type[Struct]) -> type[Struct]:
    name = f"{row.__name__}List"
    return defstruct(name, [("object", str), ("model", str), ("data", list[row]), ("usage", TaskUsage)])  # type: ignore[valid-type]


def _classified(row: Told, example: Told, model: ModelInfo) -> Told:  # noqa: ARG001
    name = "labels" if isinstance(row.get("prediction"), list) else "label"
    return {name: row["prediction"], **_given(row, "probability", "probabilities", "abstained")}


def _extracted(row: Told, example: Told, model: ModelInfo) -> Told:
    told = {"text": example.get(_text_column(model))}
    entities = row.get("entities", row.get("words"))
    if entities is not None:
        told["entities"] = entities
    return {**told, **_given(row, "tokens", "tags")}


def _answer(row: Told, example: Told, model: ModelInfo) -> Told:  # noqa: ARG001
    kept = _given(row, "start", "end", "probability", "alternatives", "no_answer", "abstained")
    return {"answer": row["prediction"], **kept}


def _translated(row: Told, example: Told, model: ModelInfo) -> Told:  # noqa: ARG001
    return {"text": row["prediction"], **_given(row, "probability", "abstained")}


def _graded(row: Told, example: Told, model: ModelInfo) -> Told:  # noqa: ARG001
    kept = _given(row, "probability", "probabilities", "expected", "abstained")
    return {"grade": row["prediction"], **kept}


def _given(row: Told, *names: str) -> Told:
    return {name: row[name] for name in names if name in row}


_TASKS: tuple[tuple[Ability, str, type[TaskRequest], type[Struct], Callable[[Told, Told, ModelInfo], Told]], ...] = (
    ("classify", "Give each text a label", TaskRequest, Classified, _classified),
    ("extract", "Find entities in texts", TaskRequest, Extracted, _extracted),
    ("answer", "Answer questions from their contexts", QuestionRequest, Answered, _answer),
    ("translate", "Translate or summarise texts", TaskRequest, Translated, _translated),
    ("grade", "Grade texts", TaskRequest, GradedText, _graded),
)


def routes(gateway: Gateway) -> APIRouter:
    router = APIRouter()
    for ability, summary, asked, row, told in _TASKS:
        router.post(f"/v1/{ability}", name=ability, **documented(summary, asked, _list_of(row)))(
            _route(gateway, ability, asked, told)
        )
    return router


def _route(
    gateway: Gateway, ability: Ability, kind: type[TaskRequest], told: Callable[[Told, Told, ModelInfo], Told]
) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        asked, headers = kind.of(await read_json(request, gateway.limits))
        model = gateway.model(asked.model, ability)
        examples = asked.examples(model, gateway.limits)
        with told_as(_NAMES, "input"):
            reply = await gateway.ask(
                caller_of(request),
                Answer(
                    id=gateway.next_id(),
                    model=model.name,
                    ability=ability,
                    examples=examples,
                    abstain_below=asked.abstain_below,
                ),
            )
        assert isinstance(reply, Answers), "examples are answered with rows"
        data = [
            {"index": place, "error": row["error"]} if "error" in row else {"index": place, **told(row, example, model)}
            for place, (row, example) in enumerate(zip(reply.rows, examples, strict=True))
        ]
        usage = {"prompt_tokens": reply.tokens, "total_tokens": reply.tokens}
        return answered({"object": "list", "model": model.name, "data": data, "usage": usage}, headers)

    return answer


def _text_column(model: ModelInfo) -> str:
    return model.columns[0] if model.columns else "text"


def example_of(given: Example, model: ModelInfo, where: str) -> dict[str, Any]:
    """A text alone is the first column."""
    if isinstance(given, str):
        return {_text_column(model): given}
    for name in given:
        if model.columns and name not in model.columns:
            hint = did_you_mean(name, model.columns)
            raise refused(f"{where}.{name}", f"{where}.{name}: {model.name} reads no such column; {hint}")
    if not given:
        raise wrong(where, f"is empty; the columns are {', '.join(model.columns)}")
    return dict(given)
