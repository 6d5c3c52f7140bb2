"""Steps: cleaning, filtering, deduplication and segmentation, one a file; a row each in `STEPS`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny, ValidationError, WithJsonSchema

from wenlu.config import did_you_mean
from wenlu.corpus.record import Item
from wenlu.corpus.step import StepConfig, StepKind, Workroom, run_steps
from wenlu.corpus.steps.c4 import STEP as C4
from wenlu.corpus.steps.exact_dedup import STEP as EXACT_DEDUP
from wenlu.corpus.steps.language import STEP as LANGUAGE
from wenlu.corpus.steps.length import STEP as LENGTH
from wenlu.corpus.steps.near_dedup import STEP as NEAR_DEDUP
from wenlu.corpus.steps.pictures import STEP as PICTURES
from wenlu.corpus.steps.quality import STEP as QUALITY
from wenlu.corpus.steps.repair import STEP as REPAIR
from wenlu.corpus.steps.repetition import STEP as REPETITION
from wenlu.corpus.steps.sentences import STEP as SENTENCES
from wenlu.corpus.steps.stem import STEP as STEM
from wenlu.corpus.steps.stop_words import STEP as STOP_WORDS
from wenlu.corpus.steps.strip_punctuation import STEP as STRIP_PUNCTUATION
from wenlu.corpus.steps.words import STEP as WORDS

STEPS: tuple[StepKind, ...] = (
    REPAIR,
    PICTURES,
    LANGUAGE,
    QUALITY,
    REPETITION,
    C4,
    LENGTH,
    EXACT_DEDUP,
    NEAR_DEDUP,
    SENTENCES,
    WORDS,
    STRIP_PUNCTUATION,
    STEM,
    STOP_WORDS,
)


def step_kind(name: str) -> StepKind:
    """The row with this name; raises ValueError with the nearest one."""
    for kind in STEPS:
        if kind.name == name:
            return kind
    raise ValueError(f"no step {name!r}; {did_you_mean(name, [kind.name for kind in STEPS])}")


def read_step(value: object) -> StepConfig:
    """Settings of a step from its name alone or from a table with `step` and further keys; raises ValueError."""
    match value:
        case StepConfig():
            return value
        case str(name):
            table: dict[str, Any] = {"step": name}
        case {"step": str(name)}:
            table = {**value}  # type: ignore[dict-item]
        case _:
            raise ValueError(f'write a step as "repair" or as {{step = "repair", form = "NFKC"}}, not {value!r}')
    config = step_kind(name).config
    try:
        return config.model_validate(table)
    except ValidationError as error:
        raise ValueError("; ".join(_complaint(name, config, details) for details in error.errors())) from error


def _complaint(name: str, config: type[StepConfig], details: Any) -> str:
    key = ".".join(map(str, details["loc"]))
    where = f"{name}.{key}" if key else name
    if details["type"] == "extra_forbidden":
        return f"{where}: unknown key; {did_you_mean(key, config.model_fields)}"
    message = details["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return (
        f"{where}: {message}" if details["type"] == "value_error" else f"{where}: {message}, not {details['input']!r}"
    )


def build_and_run(steps: Sequence[StepConfig], items: Iterable[Item], room: Workroom) -> Iterator[Item]:
    """The items after all steps, which are built at once, before anything is read."""
    return run_steps(
        [step_kind(config.step).build(config, room) for config in steps], items, room.workers, room.patience
    )


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | dict | StepConfig) else value


_SCHEMA = {"anyOf": [{"enum": [kind.name for kind in STEPS]}, *(kind.config.model_json_schema() for kind in STEPS)]}

StepField = Annotated[StepConfig, BeforeValidator(read_step), SerializeAsAny(), WithJsonSchema(_SCHEMA)]
StepList = Annotated[tuple[StepField, ...], BeforeValidator(_as_list)]
"""A settings field: a list of steps, each its name or a table."""
