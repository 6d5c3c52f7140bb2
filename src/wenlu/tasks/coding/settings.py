"""The settings of the task of writing code, and its example."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from wenlu.corpus.source import SourceSpec
from wenlu.corpus.sources import human_eval, python, python_functions, stdlib
from wenlu.models import Ability, Family
from wenlu.tasks.coding.gaps import SENTINELS
from wenlu.tasks.labelled.task import Role
from wenlu.tasks.labelled.writing import SOURCE, TextPair, WritingConfig

_FIXED = {
    python_functions.KIND.name: ("completion",),
    human_eval.KIND.name: ("completion", "unit_tests", "entry_point"),
}
"""What files of one layout have besides the prompt."""


@dataclass(frozen=True)
class CodeExample(TextPair):
    """A prompt and the body to be written to it; or what stands before a gap, and what fills it.

    Attributes:
        suffix: what stands behind the gap; None: there is no gap, the text goes on after the source.
        suffix_first: the model is told the suffix before the prefix.
        unit_tests: source that defines `check(candidate)`. entry_point: the function that is the candidate.
    """

    suffix: str | None = None
    suffix_first: bool = False
    unit_tests: str | None = None
    entry_point: str | None = None


class CodeConfig(WritingConfig):
    """How code is learnt.

    Attributes:
        long: of a prompt that is too long the tail is read, for the signature stands behind the imports.
        fill_in_the_middle: share of the rows that are functions with a part taken out (Bavarian et al. 2022,
            arXiv:2207.14255), half of them with the suffix first; 0: gaps are not learnt.
        sentinels: the special tokens before prefix, suffix and middle; "auto" takes those that the tokenizer has of the
            published ones; a new tokenizer, and a base's that has none, gets the first of them.
    """

    suits: ClassVar[str] = "families that continue text"
    roles: ClassVar[tuple[Role, ...]] = (
        Role("prompt", "prompt", "imports, signature and docstring; or what stands before a gap", is_long=True),
        Role("completion", "completion", "the body; or what fills the gap", is_answer=True),
        Role("suffix", "suffix", "what stands behind the gap", is_optional=True, is_long=True),
        Role("unit_tests", "unit_tests", "source that defines check(candidate)", is_optional=True, is_answer=True),
        Role("entry_point", "entry_point", "the function to check", is_optional=True, is_answer=True),
    )
    name: Literal["code"] = "code"
    template: str = SOURCE
    long: Literal["head", "tail", "head-tail"] = "tail"
    fill_in_the_middle: float = Field(default=0.5, ge=0, lt=1)
    sentinels: tuple[str, str, str] | Literal["auto"] = "auto"

    @property
    def special_tokens(self) -> tuple[str, ...]:
        if not self.fill_in_the_middle:
            return ()
        return SENTINELS[0] if self.sentinels == "auto" else self.sentinels

    def tokens_to_add(self, known: Collection[str]) -> tuple[str, ...]:
        """None where the base has those of a published tokenizer."""
        if self.sentinels == "auto" and any(set(tokens) <= set(known) for tokens in SENTINELS):
            return ()
        return tuple(token for token in self.special_tokens if token not in known)

    def accepts(self, family: Family) -> bool:
        return Ability.CAUSAL in family.abilities and Ability.ENCODER_DECODER not in family.abilities

    def columns_of(self, spec: SourceSpec) -> tuple[str, ...]:
        return _FIXED.get(spec.kind) or self.read_columns()

    def told(self, specs: tuple[SourceSpec, ...]) -> tuple[SourceSpec, ...]:
        """Python files, and folders that have some, are read function by function."""
        return super().told(tuple(map(_with_kind, specs)))


def _with_kind(spec: SourceSpec) -> SourceSpec:
    kind = python_functions.KIND.name if spec.kind == "auto" and _is_python(spec.path) else spec.kind
    if kind not in _FIXED or "text" in spec.model_fields_set:
        return spec.model_copy(update={"kind": kind})
    return spec.model_copy(update={"kind": kind, "text": "prompt"})


def _is_python(path: str) -> bool:
    if path == stdlib.NAME or path.endswith(python.KIND.suffixes):
        return True
    folder = Path(path)
    return folder.is_dir() and any(file for suffix in python.KIND.suffixes for file in folder.rglob(f"*{suffix}"))
