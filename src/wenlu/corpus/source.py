"""What a source is: where records come from, as the user writes it, and which files and folders can be read."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from wenlu.config import Config
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.turn_templates import check_templates, columns_in, text_column


class SourceSpec(Config):
    """One source of records; written as a table, or as its path alone.

    `path` is a file, a folder, a glob, `stdlib` (the running interpreter's own library),
    `package:NAME/inner/path`, `https://…`, or `hf:ORGANISATION/NAME`.
    """

    path: Annotated[str, Field(min_length=1)]
    name: str = ""
    """Stands in each record's meta as `source` and begins its id; by default the last part of the path."""
    weight: PositiveFloat = 1.0
    """Relative sampling frequency of this source when several are mixed."""
    is_held_out: bool = True
    """Whether records of it may be held out; false: train on all of them, as on pairs that a model wrote."""
    limit: PositiveInt | None = None
    """Read at most this many records, those that are dropped included."""

    kind: str = "auto"
    """How to read the files; `"auto"` goes by their suffix."""
    text: str = "text"
    """The column that holds the text; a list of strings is joined by newlines."""
    meta: tuple[str, ...] = ()
    """Columns to keep, as text, in each record's meta."""
    rename: dict[str, str] = Field(default_factory=dict)
    """Columns that this source calls otherwise, its name first: `{review = "text", stars = "label"}`."""
    image: str = ""
    """The column that holds each record's picture: its path from the file's own folder, or in Parquet and Arrow its
    bytes, plain or as Hugging Face keeps them. The text is its caption; the meta says where the picture is
    (`picture`, `picture_sha256`)."""
    id: str = ""
    """The column that names records; those that have none there are called by file and place, as all are by default."""
    chats: str = ""
    """Rows are conversations: `"auto"` finds their turns by the keys of OpenAI, ShareGPT or Alpaca, a name is the
    column that holds them. The text is all that is said; the turns are kept as JSON in the meta, as `messages` or by
    that name."""
    turns: dict[str, str] = Field(default_factory=dict)
    """Rows become conversations by templates with the names of columns, for `system` (if any), `user` and `assistant`:
    `{user = "{context}\\n\\n{question}", assistant = "{answers[0][text]}"}`. Brackets look into lists and objects, and
    `[*]` joins a list with blanks. A row that leaves a side without words is dropped."""
    pairs: tuple[str, ...] = ()
    """Rows are two answers to one prompt: the columns of the prompt, the better answer and the worse one, each a text
    or turns. OpenAI's `preferred_output` and TRL's or UltraFeedback's whole conversations are known as they are."""
    set: dict[str, str] = Field(default_factory=dict)
    """Columns that every record of this source has, as `{label = "spam"}` for a folder of spam."""
    by: Literal["file", "line", "paragraph"] = "file"
    """What a record of a text or Markdown file is; paragraphs are parted by blank lines."""
    within: str = ""
    """Where a JSON file keeps its records: `data.paragraphs` is each paragraph of each element of `data`."""
    split: str = "train"
    """Which split of a Hugging Face dataset."""
    subset: str = ""
    """Which configuration of a Hugging Face dataset that has several."""
    languages: tuple[str, ...] = ()
    """Source and target language of translations, as the files write them: `["en", "zh"]` is also any `zh-…`."""

    encoding: str = "utf-8"
    delimiter: Annotated[str, Field(min_length=1)] = "auto"
    """Between the columns of a table; `"auto"` is a tab for .tsv and a comma otherwise."""
    quote: Literal['"', "'", ""] = '"'
    """Around table cells that hold a delimiter or a newline; `""` where cells are never quoted."""
    columns: tuple[str, ...] = ()
    """Names of a table's columns where its first line is not a header."""
    skip: NonNegativeInt = 0
    """How many lines of a table to pass over before its header, or before its first row where `columns` are named."""

    sha256: str | None = None
    """Expected digest of a file; it is checked before the first record is read."""
    accept_terms: bool = False
    """Whether you accept the terms of a package whose data is restricted; the error shows them."""
    max_record_bytes: PositiveInt = 16 * 2**20
    max_bad_fraction: Annotated[float, Field(ge=0, le=1)] = 0.001
    """Records that cannot be read are dropped and counted up to this fraction of all; beyond it they are an error."""

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "a".encode(value)
            codecs.getincrementaldecoder(value)
        except LookupError as error:
            raise ValueError(f"{value!r} is no text encoding that Python knows; try 'utf-8', 'gb18030'") from error
        return value

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str) -> str:
        if value != "auto" and len(value) != 1:
            raise ValueError(f"{value!r} is not one character; write ',', ';', '\\t', or 'auto'")
        return value

    @field_validator("languages")
    @classmethod
    def _source_and_target(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value and (len(value) != 2 or "" in value or value[0].lower() == value[1].lower()):
            raise ValueError(f"{list(value)} is not a source and a target language; write two, such as ['en', 'zh']")
        return value

    @field_validator("meta")
    @classmethod
    def _free_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _without_source(value)

    @field_validator("rename")
    @classmethod
    def _one_to_one(cls, value: dict[str, str]) -> dict[str, str]:
        names = list(value.values())
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two columns would be called {twice!r}")
        return value

    @field_validator("turns")
    @classmethod
    def _fillable(cls, value: dict[str, str]) -> dict[str, str]:
        if value:
            check_templates(value)
        return value

    @field_validator("pairs")
    @classmethod
    def _three(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value and len({*value}) != 3:
            raise ValueError(f"{list(value)} are not three columns; write ['prompt', 'chosen', 'rejected']")
        return value

    @field_validator("set")
    @classmethod
    def _free_keys(cls, value: dict[str, str]) -> dict[str, str]:
        return _without_source(value)

    @field_validator("sha256")
    @classmethod
    def _is_digest(cls, value: str | None) -> str | None:
        if value is not None and not (len(value) == 64 and set(value.lower()) <= set("0123456789abcdef")):
            raise ValueError(f"{value!r} is not a sha256; it has 64 hexadecimal digits")
        return value.lower() if value else value

    @model_validator(mode="after")
    def _one_way_to_converse(self) -> Self:
        if self.turns and self.chats:
            raise ValueError("turns are made of columns, and chats are there already; leave out one of them")
        if self.pairs and (self.turns or self.chats):
            raise ValueError("pairs have prompts and answers in columns of their own; leave out turns and chats")
        return self

    @property
    def text_name(self) -> str:
        """Our name of the column that is read as the text."""
        return text_column(self.turns, self.text, self.set) if self.turns else self.text

    @property
    def meta_names(self) -> tuple[str, ...]:
        """Our names of the other columns that are read."""
        read = [name for name in columns_in(self.turns) if name not in self.set and name != self.text_name]
        return tuple(dict.fromkeys([*self.meta, *read]))

    def setting_of(self, name: str) -> str:
        """Which setting names a column of the files besides the text."""
        ours = self.rename.get(name, name)
        return "turns" if ours in columns_in(self.turns) else "meta"


def in_file(spec: SourceSpec) -> SourceSpec:
    """The source with the names of columns that its files have, and those that its templates name."""
    if not spec.rename and not spec.turns:
        return spec
    there = {ours: theirs for theirs, ours in spec.rename.items()}
    image = there.get(spec.image, spec.image)
    meta = tuple(there.get(name, name) for name in spec.meta_names)
    return spec.model_copy(update={"text": there.get(spec.text_name, spec.text_name), "meta": meta, "image": image})


Names = TypeVar("Names", bound=Collection[str])


def _without_source(names: Names) -> Names:
    if "source" in names:
        raise ValueError("'source' is set by Wenlu to the name of the source; rename that column in your data")
    return names


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | dict | SourceSpec) else value


SourceList = Annotated[tuple[SourceSpec, ...], BeforeValidator(_as_list)]
"""A settings field: one path, one table, or a list of either."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source.

    Attributes:
        id: the source's name and the path below it; record ids begin with it.
        relative: the path below the source's root; the file's own name where the source is one file.
    """

    path: Path
    id: str
    relative: PurePosixPath


@dataclass(frozen=True, slots=True)
class Bad:
    """A record that could not be read: dropped while few are so, an error beyond `max_bad_fraction`.

    Attributes:
        reason: a few fixed words, for counting.
        detail: what exactly was found, for the message.
    """

    id: str
    reason: str
    detail: str


Read = Record | Drop | Bad


def _several(spec: SourceSpec) -> bool:  # noqa: ARG001 (the settings matter to the kinds that can be either)
    return False


@dataclass(frozen=True)
class FileKind:
    """A format of file.

    Attributes:
        suffixes: in lower case, before a further .gz or .zst; none where only `kind` can ask for it.
        columnar: whether `text` and `meta` name columns of it.
        shows: whether its records have pictures without being asked for them.
        one_record: whether `read` yields exactly one item a file under these settings.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[SourceFile, SourceSpec], Iterator[Read]]
    columnar: bool = False
    shows: bool = False
    one_record: Callable[[SourceSpec], bool] = _several


@dataclass(frozen=True)
class FolderKind:
    """An arrangement of files: which of them belong to the source, and in which order.

    Attributes:
        claims: whether a folder is of this kind.
        files: paths below the folder, in a fixed order.
    """

    name: str
    claims: Callable[[Path], bool]
    files: Callable[[Path, SourceSpec], Iterator[PurePosixPath]]


SourceKind = FileKind | FolderKind
