"""Tags write entities and are read back, as seqeval reads them; a mask knows which tags may follow each other."""

from __future__ import annotations

import os
from itertools import pairwise, product

import pytest
import seqeval.scheme
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from wenlu.errors import ConfigError, DataError
from wenlu.tasks.tagging.schemes import (
    BILOU,
    BIOES,
    BMES,
    IOB1,
    IOB2,
    OUTSIDE,
    SCHEMES,
    Entity,
    Scheme,
    allowed,
    allowed_end,
    allowed_start,
    check,
    convert,
    detect,
    scheme_of,
    spans,
    tags_for,
    tags_of,
    transition_mask,
)

EXAMPLES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60
LABELS = ("PER", "LOC", "GPE-LOC")
every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
any_two = pytest.mark.parametrize(("source", "target"), [*product(SCHEMES, SCHEMES)], ids=lambda scheme: scheme.name)


@st.composite
def entities(draw: st.DrawFn) -> tuple[tuple[Entity, ...], int]:
    """Entities that do not overlap, and the length of their text."""
    found, place = [], 0
    for gap, size, label in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(LABELS)), max_size=5)
    ):
        found.append(Entity(place + gap, place + gap + size, label))
        place += gap + size
    return tuple(found), place + draw(st.integers(0, 2))


def any_tags(scheme: Scheme, labels: tuple[str, ...] = LABELS[:2]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(tags_for(labels, scheme)), max_size=7)


def is_well_formed(tags: list[str], scheme: Scheme) -> bool:
    return tags_of(spans(tags, scheme), len(tags), scheme) == tags


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        (IOB1, ["I-PER", "I-PER", "B-PER", "O", "I-LOC"]),
        (IOB2, ["B-PER", "I-PER", "B-PER", "O", "B-LOC"]),
        (BIOES, ["B-PER", "E-PER", "S-PER", "O", "S-LOC"]),
        (BILOU, ["B-PER", "L-PER", "U-PER", "O", "U-LOC"]),
        (BMES, ["B-PER", "E-PER", "S-PER", "O", "S-LOC"]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_each_scheme_writes_the_same_entities_its_own_way(scheme: Scheme, tags: list[str]) -> None:
    found = (Entity(0, 2, "PER"), Entity(2, 3, "PER"), Entity(4, 5, "LOC"))
    assert spans(tags, scheme) == found
    assert tags_of(found, 5, scheme) == tags


def test_words_of_a_chinese_sentence_are_entities_without_a_label() -> None:
    tags = ["B", "M", "E", "S", "B", "E"]  # 磨坊主 养 小猫
    words = (Entity(0, 3, ""), Entity(3, 4, ""), Entity(4, 6, ""))
    assert spans(tags, BMES) == words
    assert tags_of(words, 6, BMES) == tags


@every_scheme
@settings(max_examples=EXAMPLES)
@given(drawn=entities())
def test_what_is_written_is_read_back(scheme: Scheme, drawn: tuple[tuple[Entity, ...], int]) -> None:
    found, length = drawn
    tags = tags_of(found, length, scheme)
    check(tags, scheme)
    assert spans(tags, scheme) == found
    assert spans(tags, scheme, strict=False) == found
    assert set(tags) <= set(tags_for(LABELS, scheme))


@any_two
@settings(max_examples=EXAMPLES)
@given(drawn=entities())
def test_converting_there_and_back_changes_nothing(
    source: Scheme, target: Scheme, drawn: tuple[tuple[Entity, ...], int]
) -> None:
    tags = tags_of(*drawn, source)
    there = convert(tags, source, target)
    assert there == tags_of(*drawn, target)
    assert convert(there, target, source) == tags


@pytest.mark.parametrize("name", ["IOB2", "BIOES", "BILOU"])
@settings(max_examples=EXAMPLES * 3)
@given(data=st.data())
def test_strict_reading_is_that_of_seqeval(name: str, data: st.DataObject) -> None:
    scheme = scheme_of(name)
    tags = data.draw(any_tags(scheme))
    reference = getattr(seqeval.scheme, "IOBES" if scheme is BIOES else name)
    expected = seqeval.scheme.Entities([tags], reference).entities[0]
    assert [(e.start, e.end, e.label) for e in spans(tags, scheme)] == [(e.start, e.end, e.tag) for e in expected]


@settings(max_examples=EXAMPLES)
@given(drawn=entities())
def test_iob1_is_read_as_seqeval_does(drawn: tuple[tuple[Entity, ...], int]) -> None:
    tags = tags_of(*drawn, IOB1)
    expected = seqeval.scheme.Entities([tags], seqeval.scheme.IOB1).entities[0]
    assert [(e.start, e.end, e.label) for e in spans(tags, IOB1)] == [(e.start, e.end, e.tag) for e in expected]


@pytest.mark.parametrize("scheme", [IOB1, IOB2, BIOES], ids=lambda scheme: scheme.name)
@settings(max_examples=EXAMPLES * 3)
@given(data=st.data())
def test_lenient_reading_is_that_of_seqeval_by_default(scheme: Scheme, data: st.DataObject) -> None:
    tags = data.draw(any_tags(scheme))
    found = [(e.label, e.start, e.end - 1) for e in spans(tags, scheme, strict=False)]
    assert found == get_entities(tags)


def test_an_entity_that_starts_with_i_is_none_strictly_and_one_leniently() -> None:
    tags = ["O", "I-PER", "I-PER", "O"]
    assert spans(tags, IOB2) == ()
    assert spans(tags, IOB2, strict=False) == (Entity(1, 3, "PER"),)
    assert convert(tags, IOB2, BIOES, strict=False) == ["O", "B-PER", "E-PER", "O"]
    with pytest.raises(DataError, match=r"tag 'I-PER' of token 1 cannot stand after 'O' in IOB2; is that the scheme\?"):
        convert(tags, IOB2, BIOES)


def test_an_entity_that_is_not_ended_is_a_mistake() -> None:
    with pytest.raises(DataError, match="tag 'B-PER' cannot end a text in BIOES"):
        check(["O", "B-PER"], BIOES)
    with pytest.raises(DataError, match="tag 'M' of token 0 cannot stand at the start of a text in BMES"):
        check(["M", "E"], BMES)


@every_scheme
@settings(max_examples=EXAMPLES * 3)
@given(data=st.data())
def test_transitions_allow_exactly_what_is_written(scheme: Scheme, data: st.DataObject) -> None:
    tags = data.draw(any_tags(scheme).filter(bool))
    steps = all(allowed(before, tag, scheme) for before, tag in pairwise(tags))
    assert (allowed_start(tags[0], scheme) and steps and allowed_end(tags[-1], scheme)) == is_well_formed(tags, scheme)


@every_scheme
def test_the_mask_says_what_the_transitions_say(scheme: Scheme) -> None:
    tags = tags_for(("PER", "LOC"), scheme)
    mask = transition_mask(tags, scheme)
    size = len(tags)
    assert mask.shape == (size + 2, size + 2)
    assert mask.dtype == torch.bool
    for (i, before), (j, tag) in product(enumerate(tags), enumerate(tags)):
        assert mask[i, j] == allowed(before, tag, scheme)
    assert mask[size, :size].tolist() == [allowed_start(tag, scheme) for tag in tags]
    assert mask[:size, size + 1].tolist() == [allowed_end(tag, scheme) for tag in tags]
    assert mask[size, size + 1], "a text without tokens has tags"
    assert not mask[:, size].any(), "nothing comes before the start"
    assert not mask[size + 1].any(), "nothing comes behind the end"


def test_segmentation_needs_four_tags_of_which_half_may_start_a_text() -> None:
    tags = tags_for([""], BMES)[1:]
    assert tags == ("B", "M", "E", "S")
    assert transition_mask(tags, BMES)[:-1, :-2].int().tolist() == [
        [0, 1, 1, 0],  # B M or B E
        [0, 1, 1, 0],
        [1, 0, 0, 1],
        [1, 0, 0, 1],
        [1, 0, 0, 1],
    ]


@every_scheme
@settings(max_examples=EXAMPLES)
@given(texts=st.lists(entities(), min_size=1, max_size=4))
def test_the_scheme_is_found_in_its_tags(scheme: Scheme, texts: list[tuple[tuple[Entity, ...], int]]) -> None:
    written = [tags_of(*text, scheme) for text in texts]
    found = detect(written)
    assert [spans(tags, found) for tags in written] == [text[0] for text in texts]
    if any(tag[0] in "IML" for tags in written for tag in tags):
        assert found is scheme


def test_letters_that_two_schemes_share_are_told_apart_by_labels() -> None:
    assert detect([["B", "E", "S"]]) is BMES
    assert detect([["B-PER", "E-PER", "S-PER"]]) is BIOES
    assert detect([["O", "O"]]) is IOB2


def test_tags_of_no_scheme_are_shown() -> None:
    with pytest.raises(DataError, match=r"tags O, X-PER are of none of IOB2, BIOES, BILOU, BMES, IOB1"):
        detect([["O", "X-PER"]])
    with pytest.raises(DataError, match=r"keep to none of IOB2, BIOES, BILOU, IOB1; name their scheme. tag 'I-PER' of"):
        detect([["O", "I-PER", "O", "B-PER"]])


@pytest.mark.parametrize("tag", ["X-PER", "B-", "O-PER", "B_PER", "", "b-PER", "E-PER"])
def test_a_malformed_tag_is_refused_with_its_value(tag: str) -> None:
    for read in (lambda: spans([tag], IOB2), lambda: allowed("O", tag, IOB2), lambda: transition_mask([tag], IOB2)):
        with pytest.raises(DataError, match=rf"tag '{tag}' is not of IOB2: write O, or one of B, I with a hyphen"):
            read()


def test_entities_that_no_tags_can_write_are_refused_with_their_values() -> None:
    with pytest.raises(DataError, match=r"label='PER'\) and Entity\(start=1, end=3, label='LOC'\) overlap"):
        tags_of([Entity(1, 3, "LOC"), Entity(0, 2, "PER")], 4, IOB2)
    for entity in (Entity(3, 5, "PER"), Entity(2, 2, "PER"), Entity(-1, 1, "PER")):
        with pytest.raises(DataError, match=rf"start={entity.start}, end={entity.end}, .* is not among 4 tokens"):
            tags_of([entity], 4, IOB2)


def test_schemes_have_names_and_synonyms() -> None:
    assert scheme_of("bio") is IOB2
    assert scheme_of("IOBES") is BIOES
    assert scheme_of("bmes") is BMES
    with pytest.raises(ConfigError, match=r"no tag scheme 'BIOS'; did you mean BIO"):
        scheme_of("BIOS")
    assert OUTSIDE in tags_for([], IOB2)
