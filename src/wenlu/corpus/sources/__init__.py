"""Sources: records from files, folders, packages and the network; a kind a file, a row each in `SOURCES`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath

from wenlu.config import did_you_mean
from wenlu.corpus.mixing import mix
from wenlu.corpus.pictures.locating import file_reference, located
from wenlu.corpus.quarantine import Quarantine
from wenlu.corpus.reading import reading
from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.source import Bad, FileKind, FolderKind, Read, SourceFile, SourceKind, SourceList, SourceSpec, in_file
from wenlu.corpus.sources import (
    arrow,
    chatterbot,
    chitchat,
    conll,
    conllu,
    emoji,
    folder,
    glob,
    html,
    huggingface,
    human_eval,
    json_array,
    jsonl,
    label_studio,
    mail,
    markdown,
    moses,
    parquet,
    pdf,
    pfr,
    pictures,
    po,
    python,
    python_functions,
    squad,
    stdlib,
    table,
    text,
    tmx,
    xliff,
)
from wenlu.corpus.turn_templates import told
from wenlu.errors import ConfigError, DataError
from wenlu.hub import Fetched, resolve

SOURCES: tuple[SourceKind, ...] = (
    text.KIND,
    markdown.KIND,
    html.KIND,
    mail.KIND,
    pdf.KIND,
    python.KIND,
    python_functions.KIND,
    jsonl.KIND,
    json_array.KIND,
    table.KIND,
    parquet.KIND,
    arrow.KIND,
    conll.KIND,
    conllu.KIND,
    pfr.KIND,
    squad.KIND,
    label_studio.KIND,
    human_eval.KIND,
    chatterbot.KIND,
    chitchat.KIND,
    pictures.KIND,
    emoji.KIND,
    tmx.KIND,
    xliff.KIND,
    po.KIND,
    moses.KIND,
    stdlib.KIND,
    glob.KIND,
    huggingface.KIND,
    folder.KIND,
)
"""A folder is of the first kind that claims it."""

_SHOWN = 1000
"""Characters that are kept of a record that is dropped, for people to look at."""

_FILE_KINDS = {kind.name: kind for kind in SOURCES if isinstance(kind, FileKind)}
_FOLDER_KINDS = {kind.name: kind for kind in SOURCES if isinstance(kind, FolderKind)}


@dataclass(frozen=True)
class Location:
    """Where a source is on this machine.

    Attributes:
        listing: how its files are found; None where `root` is the one file.
        fetched: what was fetched to have it here, for the run's provenance.
    """

    root: Path
    name: str
    listing: FolderKind | None
    fetched: Fetched | None = None


def locate(spec: SourceSpec) -> Location:
    """Find the source, fetching it if need be.

    Raises:
        ConfigError: `kind` is unknown.
        DataError: there is no such file or folder, or a digest differs.
        UsageError, ResourceError: it cannot be fetched.
    """
    known = [*_FILE_KINDS, *_FOLDER_KINDS]
    if spec.kind not in ("auto", *known):
        raise ConfigError(f"source {spec.path}: kind {spec.kind!r} is unknown; {did_you_mean(spec.kind, known)}")
    if spec.path == stdlib.NAME:
        return Location(stdlib.stdlib_folder(), name_of(spec), stdlib.KIND)
    fixed, pattern = glob.split_glob(spec.path)
    resolved = resolve(fixed, sha256=spec.sha256, accept_terms=spec.accept_terms)
    return Location(resolved.path, name_of(spec), _listing(resolved.path, spec, pattern), resolved.fetched)


def open_source(spec: SourceSpec, *, rank: int = 0, world_size: int = 1, start: int = 0) -> Iterator[Item]:
    """Yield the source's records and drops in a fixed order; each record's meta names its `source`.

    Args:
        rank: of `world_size` readers, which share the items out by position: 0, 1, …, 0, 1, …
        start: position, before sharing out, from which to resume.

    Raises:
        DataError: something cannot be read, or more than `max_bad_fraction` of the records cannot;
            or there is no text at all. What `locate` raises comes at once, the rest while iterating.
    """
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} is not in 0 … {world_size - 1}")
    return _items(spec, locate(spec), rank, world_size, start)


def open_sources(specs: Sequence[SourceSpec], seed: int, *, rank: int = 0, world_size: int = 1) -> Iterator[Item]:
    """Mix the sources by weight in an order that is a pure function of the seed.

    Raises:
        ConfigError: two sources have one name, so that their records' ids would clash.
    """
    locations = [locate(spec) for spec in specs]
    names = [location.name for location in locations]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        paths = " and ".join(spec.path for spec, name in zip(specs, names, strict=True) if name == twice)
        raise ConfigError(f'{paths} would both be called {twice!r}; give one of them another name = "…"')
    opened = [_items(spec, location, 0, 1, 0) for spec, location in zip(specs, locations, strict=True)]
    mixed = opened[0] if len(opened) == 1 else mix(opened, [spec.weight for spec in specs], seed)
    return islice(mixed, rank, None, world_size)


def name_of(spec: SourceSpec) -> str:
    """What its records call their source: as the user says, else the last part of the path, as a reader would."""
    text, _ = glob.split_glob(spec.path)
    name = text.removeprefix("hf:") if text.startswith("hf:") else PurePosixPath(text.removeprefix("package:")).name
    return spec.name or name.partition("?")[0] or text


def _listing(root: Path, spec: SourceSpec, pattern: str) -> FolderKind | None:
    if pattern:
        return glob.KIND
    if not root.is_dir():
        return None
    if spec.kind in _FOLDER_KINDS:
        return _FOLDER_KINDS[spec.kind]
    if spec.path.startswith("hf:"):
        return huggingface.KIND
    with reading(root):
        return next(kind for kind in _FOLDER_KINDS.values() if kind.claims(root))


def _files(spec: SourceSpec, location: Location) -> Iterator[SourceFile]:
    if location.listing is None:
        yield SourceFile(location.root, location.name, PurePosixPath(location.root.name))
        return
    for relative in location.listing.files(location.root, spec):
        yield SourceFile(location.root / relative, f"{location.name}/{relative}", relative)


def _kind(file: SourceFile, spec: SourceSpec) -> FileKind | None:
    if spec.kind in _FILE_KINDS:
        return _FILE_KINDS[spec.kind]
    name = file.path.name.lower().removesuffix(".gz").removesuffix(".zst")
    return next((kind for kind in _FILE_KINDS.values() if name.endswith(kind.suffixes)), None)


Wanted = Callable[[int], bool]
"""Whether the item at a position is to be yielded by this reader."""


def _items(spec: SourceSpec, location: Location, rank: int, world_size: int, start: int) -> Iterator[Item]:
    def wanted(position: int) -> bool:
        return position >= start and position % world_size == rank

    quarantine = Quarantine(location.name, spec.max_bad_fraction)
    whole = world_size == 1 and start == 0
    position, records, reasons = 0, 0, Counter[str]()
    for position, item in enumerate(islice(_reads(in_file(spec), location, wanted), spec.limit), start=1):
        if item is None:
            continue
        quarantine.count()
        checked = quarantine.drop(item) if isinstance(item, Bad) else _checked(item, location.name, spec)
        if isinstance(checked, Record):
            records += 1
        else:
            reasons[checked.reason] += 1
        if wanted(position - 1):
            yield checked
    quarantine.check()
    if position == 0:
        raise DataError(f"{spec.path}: holds no records; is it empty?")
    if whole and records == 0:
        listing = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(5))
        raise DataError(f"{spec.path}: holds no text; what was read was dropped: {listing}")


def _reads(spec: SourceSpec, location: Location, wanted: Wanted) -> Iterator[Read | None]:
    """What each position holds; None where it was not read, as a whole file of one record is not wanted."""
    position = 0
    for file in _files(spec, location):
        kind = _kind(file, spec)
        if kind is None:
            if location.listing is None:
                raise DataError(
                    f'{file.path}: no known suffix; set kind = "…" for this source: {", ".join(_FILE_KINDS)}'
                )
            yield Drop(Record("", file.id), "source", "unknown file type")
            position += 1
            continue
        if not kind.columnar and (named := _named_columns(spec)):
            raise DataError(f"{file.path}: a {kind.name} file has no columns; leave out {named}")
        if kind.one_record(spec) and not wanted(position):
            yield None
            position += 1
            continue
        items = kind.read(file, spec)
        if spec.image or kind.shows:
            items = _located(items, file, location)
        for item in items:
            yield item
            position += 1


def _located(items: Iterator[Read], file: SourceFile, location: Location) -> Iterator[Read]:
    if location.fetched is None:
        return located(items, str(file.path))
    reference = file_reference(location.root, location.fetched.source, file.path, file.relative)
    is_package = reference != str(file.path)
    return located(items, reference, None if is_package else location.root)


def _named_columns(spec: SourceSpec) -> str:
    """What the settings, as the file has them, say of columns besides the text; empty where they name none."""
    names = [name for name in (*spec.meta, spec.text) if spec.setting_of(name) == "turns" and name != "text"]
    if names:
        return f"{{{names[0]}}} in turns; its text is {{text}}"
    if spec.meta:
        return f"meta = {list(spec.meta)}"
    if spec.image:
        return f"image = {spec.image!r}"
    if spec.pairs:
        return f"pairs = {list(spec.pairs)}"
    return f"chats = {spec.chats!r}" if spec.chats else ""


def _checked(item: Record | Drop, source: str, spec: SourceSpec) -> Item:
    """Refuse what no later step could use, and name the source."""
    if isinstance(item, Drop):
        return replace(item, record=_named(item.record, source, spec))
    record = _named(item, source, spec)
    if spec.turns:
        made = told(record, spec.turns, spec.text_name, ("source", *spec.meta, *spec.set))
        if isinstance(made, Drop):
            return replace(made, record=replace(record, text=record.text[:_SHOWN]))
        record = made
    reason = _refusal(record.text, spec.max_record_bytes)
    return Drop(replace(record, text=record.text[:_SHOWN]), "source", reason) if reason else record


def _named(record: Record, source: str, spec: SourceSpec) -> Record:
    meta = {spec.rename.get(name, name): value for name, value in record.meta.items()}
    return Record(record.text, record.id, {**meta, **spec.set, "source": source})


def _refusal(text: str, max_bytes: int) -> str | None:
    if not text or text.isspace():
        return "empty"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "unpaired surrogate"
    if size > max_bytes:
        return "record too large"
    return "NUL character" if "\0" in text else None


def shows_pictures(spec: SourceSpec) -> bool:
    """Whether its records have pictures without a column of them."""
    kind = _FILE_KINDS.get(spec.kind)
    return kind is not None and kind.shows


def fetched_by(specs: Sequence[SourceSpec]) -> list[Fetched]:
    """What the sources took from elsewhere, for the run's provenance; each is in the cache already or is fetched."""
    return [location.fetched for location in map(locate, specs) if location.fetched is not None]


__all__ = [
    "SOURCES",
    "Location",
    "SourceList",
    "SourceSpec",
    "fetched_by",
    "locate",
    "open_source",
    "open_sources",
    "shows_pictures",
]
