from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.corpus.record import Drop, Record
from wenlu.corpus.step import Workroom
from wenlu.corpus.steps.repair import STEP, RepairConfig, repaired


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("cafÃ© crÃ¨me", "café crème"),
        ("a\r\nb\rc\u2028d\x0be", "a\nb\nc\nd\ne"),
        ("nul\x00l and \ufeffmark", "null and mark"),
        ("e\u0301", "é"),
        ("tab\tstays", "tab\tstays"),
        ("他说：“你好！”ＡＢＣ", "他说：“你好！”ＡＢＣ"),
        ("ﬁne &amp; <b>bold</b> ‘quoted’", "ﬁne &amp; <b>bold</b> ‘quoted’"),
        ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
        ("half \ud83d, whole \ud83d\ude00", "half \ufffd, whole 😀"),
    ],
)
def test_text_is_repaired_and_no_more(before: str, after: str) -> None:
    assert repaired(before, RepairConfig()) == after


def test_nfkc_replaces_full_width_characters_and_ligatures() -> None:
    assert repaired("ＡＢＣ，ﬁ①", RepairConfig(form="NFKC")) == "ABC,fi1"


def test_decoding_is_left_alone_where_the_settings_say_so() -> None:
    assert repaired("cafÃ©", RepairConfig(encoding=False)) == "cafÃ©"


def test_what_is_empty_after_the_repair_is_dropped() -> None:
    record = Record("\x00\x01 \n", "a")
    assert list(STEP.build(RepairConfig(), Workroom())([record])) == [Drop(record, "repair", "empty")]


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60), form=st.sampled_from(["NFC", "NFKC"]))
def test_without_decoding_a_second_repair_changes_nothing(text: str, form: str) -> None:
    config = RepairConfig.model_validate({"form": form, "encoding": False})
    once = repaired(text, config)
    assert repaired(once, config) == once
    assert unicodedata.is_normalized(config.form, once)
    assert not any(unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\t\n" for letter in once)
