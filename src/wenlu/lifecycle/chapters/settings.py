"""A file of chapters: `[chapters.NAME]` each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, PositiveInt, model_validator

from wenlu.config import Config, check, did_you_mean
from wenlu.errors import ConfigError
from wenlu.lifecycle.compressing.settings import CompressConfig
from wenlu.lifecycle.recipe import Recipe

Verb = Literal["data", "pretrain", "finetune", "tune", "compare", "evaluate", "compress", "serve"]
_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
_REFERENCE = re.compile(r"\{([^{}]*)\}")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name of a chapter: small letters, digits and hyphens, a letter first")
    return value


class Chapter(Config):
    """A verb with its settings, which stand beside these; `{NAME}` in a text is the folder of an earlier chapter.

    Attributes:
        title: what the report calls it.
        like: an earlier chapter of the same file, whose settings are these where they are not said anew.
        recipe: a file whose settings are, as "{search}/best.toml".
        runs: in place of a recipe, runs that `compare` compares, the one that `evaluate` scores, or the one whose
            held-out examples `serve` asks.
        models: that `serve` serves, each asked whether it answers as its folder does. texts: with how many.
    """

    model_config = ConfigDict(extra="allow")

    verb: Verb
    title: str = ""
    like: str | None = None
    recipe: str | None = None
    runs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    texts: PositiveInt = 32

    @property
    def own(self) -> dict[str, Any]:
        """The settings of the verb."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _has_what_the_verb_takes(self) -> Self:
        if self.like is not None and self.recipe is not None:
            raise ValueError("like and recipe both say whose settings these change; keep one of them")
        if self.verb == "serve" and not self.models:
            raise ValueError('serve: models=["{NAME}"] says which; set it')
        if self.verb == "evaluate" and len(self.runs) != 1:
            raise ValueError('evaluate: runs=["{NAME}"] says which one; set it')
        if self.verb == "compare" and len(self.runs) == 1:
            raise ValueError("compare: two runs at least, or the settings of a recipe")
        if self.runs and self.verb not in ("compare", "evaluate", "serve"):
            raise ValueError(f"runs: are compared, evaluated or asked for texts, and this chapter is to {self.verb}")
        return self


class ChaptersConfig(Config):
    """What `wenlu run` reads where a file has chapters."""

    name: Annotated[str, Field(min_length=1)]
    language: Literal["en", "zh"] = "en"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    chapters: Annotated[dict[Annotated[str, AfterValidator(_name)], Chapter], Field(min_length=1)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        before: list[str] = []
        for name, chapter in self.chapters.items():
            named = [*([chapter.like] if chapter.like else []), *references(chapter.model_dump())]
            for other in named:
                if other not in before:
                    hint = "it comes later; move it" if other in self.chapters else did_you_mean(other, before or ["-"])
                    raise ValueError(f"chapters.{name}: {other!r} is no chapter before it; {hint}")
            before.append(name)
        return self

    def settings(self, name: str, read: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What the verb of a chapter reads, as it is written: with what it takes over, and with references.

        Args:
            read: what the file of its `recipe` says.
        """
        chapter = self.chapters[name]
        before = self.settings(chapter.like) if chapter.like else dict(read or {})
        common = {"name": f"{self.name}-{name}", "language": self.language, "seed": self.seed}
        return _merged({**before, **common}, chapter.own)

    def check(self, where: Path) -> None:
        """Raise ConfigError for settings of a chapter that its verb would refuse."""
        for name, chapter in self.chapters.items():
            if chapter.verb in ("serve", "evaluate") or chapter.runs:
                if chapter.own:
                    raise ConfigError(
                        f"{where}: chapters.{name}.{next(iter(chapter.own))}: {chapter.verb} reads no such key"
                    )
                continue
            if chapter.recipe is not None:
                continue  # which an earlier chapter may write
            schema: type[Config] = CompressConfig if chapter.verb == "compress" else Recipe
            check(schema, self.settings(name), where=f"{where}: chapters.{name}")


def references(value: Any) -> Iterator[str]:
    """The names in braces in all texts of `value`."""
    match value:
        case str():
            yield from _REFERENCE.findall(value)
        case Mapping():
            for item in value.values():
                yield from references(item)
        case list() | tuple():
            for item in value:
                yield from references(item)


def resolved(value: Any, folders: Mapping[str, Path]) -> Any:
    """`value` with the folders of chapters in place of their names."""
    match value:
        case str():
            return _REFERENCE.sub(lambda found: str(folders[found[1]]), value)
        case Mapping():
            return {key: resolved(item, folders) for key, item in value.items()}
        case list() | tuple():
            return [resolved(item, folders) for item in value]
        case _:
            return value


def _merged(before: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Sections of both, key by key."""
    settings = dict(before)
    for key, value in own.items():
        old = settings.get(key)
        settings[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return settings
