"""How one tag a token writes entities: IOB1, IOB2, BIOES, BILOU, and BMES of Chinese word segmentation.

A tag is a letter and a label, `B-PER`; a tag of segmentation is a letter alone, `B`, its label empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from wenlu.config import did_you_mean
from wenlu.errors import ConfigError, DataError

OUTSIDE = "O"


@dataclass(frozen=True)
class Scheme:
    """The letters of a scheme.

    Attributes:
        begin: the first token of an entity; in IOB1 only of one that follows another with the same label.
        end: the last token of an entity of several; None: it is an inside one.
        single: the only token of an entity; None: it is a first one.
        begins_always: False in IOB1, where most entities start with an inside token.
    """

    name: str
    begin: str = "B"
    inside: str = "I"
    end: str | None = None
    single: str | None = None
    begins_always: bool = True

    @property
    def letters(self) -> tuple[str, ...]:
        """Those that a label follows."""
        return tuple(x for x in (self.begin, self.inside, self.end, self.single) if x is not None)


IOB1 = Scheme("IOB1", begins_always=False)
IOB2 = Scheme("IOB2")
BIOES = Scheme("BIOES", end="E", single="S")
BILOU = Scheme("BILOU", end="L", single="U")
BMES = Scheme("BMES", inside="M", end="E", single="S")
SCHEMES = (IOB2, BIOES, BILOU, BMES, IOB1)
_SYNONYMS = {"BIO": IOB2, "IOB": IOB1, "IOBES": BIOES}


def scheme_of(name: str) -> Scheme:
    """The scheme with this name, in upper or lower case; raises ConfigError."""
    known = {scheme.name: scheme for scheme in SCHEMES} | _SYNONYMS
    if name.upper() not in known:
        raise ConfigError(f"no tag scheme {name!r}; {did_you_mean(name.upper(), known)}")
    return known[name.upper()]


@dataclass(frozen=True, order=True)
class Entity:
    """Tokens from `start` to before `end`, with one label."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class _Tag:
    """A letter and a label; outside, the letter is O."""

    letter: str
    label: str


_NOTHING = _Tag(OUTSIDE, "")


def _read(tag: str, scheme: Scheme) -> _Tag:
    if tag == OUTSIDE:
        return _NOTHING
    letter, hyphen, label = tag.partition("-")
    if letter not in scheme.letters or bool(hyphen) != bool(label):
        letters = ", ".join(scheme.letters)
        raise DataError(
            f"tag {tag!r} is not of {scheme.name}: write O, or one of {letters} with a hyphen and a label, "
            f"as {scheme.begin}-PER"
        )
    return _Tag(letter, label)


def _write(letter: str, label: str) -> str:
    return f"{letter}-{label}" if label else letter


def _is_open(tag: _Tag, scheme: Scheme) -> bool:
    """Whether an entity that has the tag may go on behind it."""
    return tag.letter in (scheme.begin, scheme.inside)


def _goes_on(before: _Tag, tag: _Tag, scheme: Scheme) -> bool:
    """Whether `tag` continues the entity of `before`."""
    return _is_open(before, scheme) and tag.letter in (scheme.inside, scheme.end) and before.label == tag.label


def _may_end(tag: _Tag, scheme: Scheme) -> bool:
    """Whether the entity of `tag`, if there is one, may end with it."""
    return scheme.end is None or not _is_open(tag, scheme)


def _may_start(before: _Tag, tag: _Tag, scheme: Scheme) -> bool:
    """Whether an entity may start with `tag`."""
    if scheme.begins_always:
        return tag.letter in (scheme.begin, scheme.single)
    follows_its_like = before.letter != OUTSIDE and before.label == tag.label
    return tag.letter == (scheme.begin if follows_its_like else scheme.inside)


def _allowed(before: _Tag, tag: _Tag, scheme: Scheme) -> bool:
    if _goes_on(before, tag, scheme):
        return True
    return _may_end(before, scheme) and (tag.letter == OUTSIDE or _may_start(before, tag, scheme))


def allowed(before: str, tag: str, scheme: Scheme) -> bool:
    """Whether `tag` may follow `before` in what `tags_of` writes; raises DataError for no tag of the scheme."""
    return _allowed(_read(before, scheme), _read(tag, scheme), scheme)


def allowed_start(tag: str, scheme: Scheme) -> bool:
    """Whether a text may start with `tag`."""
    return _allowed(_NOTHING, _read(tag, scheme), scheme)


def allowed_end(tag: str, scheme: Scheme) -> bool:
    """Whether a text may end with `tag`."""
    return _may_end(_read(tag, scheme), scheme)


def transition_mask(tags: Sequence[str], scheme: Scheme) -> Tensor:
    """(L + 2, L + 2) bool: the tag of the column may follow that of the row; row L is the start, column L + 1 the end.

    Raises DataError for no tag of the scheme.
    """
    read = [_read(tag, scheme) for tag in tags]
    rows = [[_allowed(before, tag, scheme) for tag in read] for before in [*read, _NOTHING]]
    mask = torch.zeros(len(tags) + 2, len(tags) + 2, dtype=torch.bool)
    mask[:-1, :-2] = torch.tensor(rows, dtype=torch.bool).reshape(len(tags) + 1, len(tags))
    mask[:-1, -1] = torch.tensor([_may_end(tag, scheme) for tag in [*read, _NOTHING]])
    return mask


def tags_for(labels: Iterable[str], scheme: Scheme) -> tuple[str, ...]:
    """All tags that entities with `labels` need, O first, so that a text of any length has tags.

    Of segmentation, `tags_for([""], BMES)`, each token is of a word: leave the O out.
    """
    return (OUTSIDE, *(_write(letter, label) for label in labels for letter in scheme.letters))


def check(tags: Sequence[str], scheme: Scheme) -> None:
    """Raises DataError where the tags are not what `tags_of` writes: one is of another scheme, or in a wrong place."""
    place = _first_mistake([_read(tag, scheme) for tag in tags], scheme)
    if place is None:
        return
    if place == len(tags):
        raise DataError(f"tag {tags[-1]!r} cannot end a text in {scheme.name}; is the text cut off?")
    where = f"after {tags[place - 1]!r}" if place else "at the start of a text"
    raise DataError(
        f"tag {tags[place]!r} of token {place} cannot stand {where} in {scheme.name}; is that the scheme? "
        "A lenient reading takes such tags for what they look like"
    )


def _first_mistake(tags: Sequence[_Tag], scheme: Scheme) -> int | None:
    """Which tag cannot stand where it does; len(tags): the last one cannot be the last; None: all can."""
    for place, (before, tag) in enumerate(pairwise([_NOTHING, *tags])):
        if not _allowed(before, tag, scheme):
            return place
    return len(tags) if tags and not _may_end(tags[-1], scheme) else None


def spans(tags: Sequence[str], scheme: Scheme, *, strict: bool = True) -> tuple[Entity, ...]:
    """The entities that the tags write, in order.

    Strict, as seqeval's strict mode: what is not tagged as the scheme says is no entity, such as one of IOB2 that
    starts with I. Otherwise, as CoNLL's script: a tag that goes on with nothing starts an entity, and one ends before
    anything that does not go on with it. Raises DataError for a tag of another scheme.
    """
    read = [*(_read(tag, scheme) for tag in tags), _NOTHING]
    found: list[Entity] = []
    before, start = _NOTHING, None
    for place, tag in enumerate(read):
        if start is not None and not _goes_on(before, tag, scheme):
            if not strict or _may_end(before, scheme):
                found.append(Entity(start, place, before.label))
            start = None
        if start is None and tag.letter != OUTSIDE and (not strict or _may_start(before, tag, scheme)):
            start = place
        before = tag
    return tuple(found)


def tags_of(entities: Iterable[Entity], length: int, scheme: Scheme) -> list[str]:
    """One tag for each of `length` tokens; raises DataError for entities that overlap or are not among the tokens."""
    tags = [OUTSIDE] * length
    before = Entity(0, 0, "")
    for entity in sorted(entities):
        if not 0 <= entity.start < entity.end <= length:
            raise DataError(f"{entity} is not among {length} tokens; give 0 <= start < end <= {length}")
        if entity.start < before.end:
            raise DataError(f"{before} and {entity} overlap; a token has one tag, so keep one of them")
        first = scheme.begin
        follows_its_like = before.end == entity.start > 0 and before.label == entity.label
        if not scheme.begins_always and not follows_its_like:
            first = scheme.inside
        if entity.end - entity.start == 1:
            letters = [scheme.single or first]
        else:
            letters = [first, *[scheme.inside] * (entity.end - entity.start - 2), scheme.end or scheme.inside]
        tags[entity.start : entity.end] = [_write(letter, entity.label) for letter in letters]
        before = entity
    return tags


def convert(tags: Sequence[str], source: Scheme, target: Scheme, *, strict: bool = True) -> list[str]:
    """The same entities in another scheme; strict: raises DataError where `tags` are not what `source` writes."""
    if strict:
        check(tags, source)
    return tags_of(spans(tags, source, strict=strict), len(tags), target)


def detect(sequences: Iterable[Sequence[str]]) -> Scheme:
    """The scheme that wrote all the tags; raises DataError where none did.

    Where nothing tells two apart: tags that are all O are IOB2; B, E and S are BMES where they have no labels and
    there is no O, else BIOES.
    """
    texts = {tuple(tags) for tags in sequences}
    known = {tag for text in texts for tag in text}
    is_segmentation = bool(known) and all("-" not in tag for tag in known) and OUTSIDE not in known
    order = sorted(SCHEMES, key=lambda scheme: (scheme == BMES) != is_segmentation)
    fitting = [scheme for scheme in order if all(tag == OUTSIDE or tag[:1] in scheme.letters for tag in known)]
    if not fitting:
        raise DataError(f"tags {', '.join(sorted(known))[:200]} are of none of {_names(SCHEMES)}")
    complaints: list[str] = []
    for scheme in fitting:
        try:
            for text in sorted(texts):
                check(text, scheme)
        except DataError as error:
            complaints.append(str(error))
        else:
            return scheme
    raise DataError(f"the tags keep to none of {_names(fitting)}; name their scheme. {complaints[0]}")


def _names(schemes: Iterable[Scheme]) -> str:
    return ", ".join(scheme.name for scheme in schemes)
