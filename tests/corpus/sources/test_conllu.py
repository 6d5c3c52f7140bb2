from __future__ import annotations

import json
from pathlib import Path

import pytest

from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError

COLUMNS = ("tokens", "lemmas", "upos", "xpos", "feats", "heads", "deprels", "offsets", "sent_id", "document")


def row(id: str, form: str, head: str = "0", misc: str = "_", lemma: str = "_") -> str:
    return "\t".join([id, form, lemma, "X", "x", "Case=Nom", head, "dep", "_", misc]) + "\n"


SPANISH = (
    "# newdoc id = d1\n# sent_id = es-1\n# text = Vámonos al mar.\n"
    + row("1-2", "Vámonos", "_")
    + row("1", "Vamos", "0", lemma="ir")
    + row("2", "nos", "1")
    + row("3-4", "al", "_")
    + row("3", "a", "5")
    + row("4", "el", "5")
    + row("5", "mar", "1", "SpaceAfter=No")
    + row("5.1", "azul", "_")
    + row("6", ".", "1")
)
DONT = row("1", "I", "4") + row("2-3", "don't", "_") + row("2", "do", "4") + row("3", "n't", "4")
DONT += row("4", "know", "0", "SpaceAfter=No") + row("5", ".", "4")
CHINESE = "# text = 我爱 北京。\n" + row("1", "我", "2", "SpaceAfter=No") + row("2", "爱") + row("3", "北京", "2")
CHINESE += row("4", "。", "2")
GOOD = row("1", "ja") + "\n"


def read(tmp_path: Path, content: str, **settings: object) -> list[Item]:
    path = tmp_path / "rows.conllu"
    path.write_text(content)
    return list(open_source(SourceSpec.model_validate({"path": str(path), "meta": COLUMNS, **settings})))


def only(items: list[Item]) -> tuple[Record, dict[str, object]]:
    (item,) = items
    assert isinstance(item, Record)
    return item, {
        name: json.loads(text) if text[0] in "[n" else text for name, text in item.meta.items() if name != "source"
    }


def test_words_stand_for_the_tokens_that_they_share(tmp_path: Path) -> None:
    record, columns = only(read(tmp_path, SPANISH))
    assert (record.id, record.text) == ("rows.conllu:1", "Vámonos al mar.")
    assert columns["tokens"] == ["Vamos", "nos", "a", "el", "mar", "."]
    assert columns["heads"] == [0, 1, 5, 5, 1, 1]
    assert columns["lemmas"] == ["ir", "_", "_", "_", "_", "_"]
    assert columns["upos"] == ["X"] * 6
    assert columns["xpos"] == ["x"] * 6
    assert columns["feats"] == ["Case=Nom"] * 6
    assert columns["deprels"] == ["dep"] * 6
    assert columns["offsets"] == [[0, 7], [0, 7], [8, 10], [8, 10], [11, 14], [14, 15]]
    assert (columns["sent_id"], columns["document"]) == ("es-1", "rows.conllu:1")


def test_words_that_make_up_their_token_have_their_own_places(tmp_path: Path) -> None:
    record, columns = only(read(tmp_path, DONT))
    assert record.text == "I don't know."
    offsets = columns["offsets"]
    assert isinstance(offsets, list)
    assert [record.text[start:end] for start, end in offsets] == ["I", "do", "n't", "know", "."]


def test_the_text_that_is_given_wins_over_the_marks(tmp_path: Path) -> None:
    record, columns = only(read(tmp_path, CHINESE))
    assert record.text == "我爱 北京。"
    assert columns["offsets"] == [[0, 1], [1, 2], [3, 5], [5, 6]]


def test_without_text_and_marks_chinese_is_joined_by_nothing(tmp_path: Path) -> None:
    record, _ = only(read(tmp_path, row("1", "我") + row("2", "爱") + row("3", "Python")))
    assert record.text == "我爱 Python"


def test_words_that_do_not_make_the_text_have_no_places(tmp_path: Path) -> None:
    record, columns = only(read(tmp_path, "# text = Yes, indeed\n" + row("1", "yes") + row("2", "indeed")))
    assert record.text == "Yes, indeed"
    assert "offsets" not in columns


def test_each_document_is_named_by_its_first_line(tmp_path: Path) -> None:
    items = read(tmp_path, GOOD + "# newdoc\n" + GOOD + GOOD)
    assert [item.meta["document"] for item in items if isinstance(item, Record)] == [
        *("rows.conllu:1", "rows.conllu:3", "rows.conllu:3")
    ]


@pytest.mark.parametrize(
    ("sentence", "detail"),
    [
        ("1 ja X\n", "line 3 has 1 columns parted by tabs, not 10"),
        (row("1", ""), "column 2 of line 3 is empty; write _ where there is nothing"),
        (row("2", "ja"), "line 3: the word is numbered '2' where 1 is due"),
        (row("x", "ja"), "line 3: the word is numbered 'x' where 1 is due"),
        (row("1", "ja") + row("3-4", "no"), "line 4: the range 3-4 does not begin at the next word, 2"),
        (row("1-2", "no") + row("1", "n"), "line 4: a range goes on to word 2, past the last, 1"),
        (row("1", "ja", "x"), "line 3: the head 'x' is not the number of a word"),
        (row("1", "ja", "2"), "in the sentence of line 3 a head is word 2, past the last, 1"),
    ],
)
def test_a_malformed_sentence_is_set_aside_with_its_line(tmp_path: Path, sentence: str, detail: str) -> None:
    good, bad, last = read(tmp_path, GOOD + sentence + "\n" + GOOD, max_bad_fraction=0.5)
    assert isinstance(good, Record)
    assert isinstance(bad, Drop)
    assert isinstance(last, Record)
    with pytest.raises(DataError) as caught:
        read(tmp_path, GOOD + sentence + "\n" + GOOD)
    assert str(caught.value).startswith(f"rows.conllu:3: malformed CoNLL-U: {detail}. In rows.conllu, 1 of 3")


def test_a_missing_column_lists_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'pos'; its columns are 'text', 'tokens', .*'document'\. Name"):
        read(tmp_path, GOOD, meta=["pos"])
