"""Ways of augmentation: what each changes, what it leaves, and the tables that they look words up in."""

from __future__ import annotations

import pkgutil
import random
from collections import Counter
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wenlu.corpus.augment.ways
from wenlu.corpus.augment import WAYS, Change, Synonyms, Tables, WayKind, read_way, way_kind
from wenlu.corpus.augment.cedict import cedict
from wenlu.corpus.augment.common_characters import common_characters, is_traditional
from wenlu.corpus.augment.spelt import Spelt
from wenlu.corpus.augment.synonyms import SynonymGroups, cased_as
from wenlu.corpus.augment.ways.aeda import MARKS
from wenlu.corpus.augment.ways.typos import neighbours
from wenlu.corpus.augment.wordnet import wordnet
from wenlu.corpus.steps.words import words_of
from wenlu.errors import DataError

ENGLISH = "The hotel was clean, and I'm happy with the quick service!"
CHINESE = "酒店的房间很干净，服务员也很热情，总体来说非常满意。"
GROUPS = SynonymGroups({"happy": ("glad",), "quick": ("fast", "speedy"), "满意": ("满足",), "房间": ("客房",)})
CODES = "# a table of codes\n...\n\n请\tivqmb\n清\teqmb\n晴\taqmb\n末\tdj\n未\tjd\n土\tg\n𠀀\tqmb\n"


def tables(_: str) -> Mapping[str, Synonyms]:
    return {"en": GROUPS, "zh": GROUPS}


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("codes") / "cangjie5.dict.yaml"
    path.write_text(CODES)
    return path


def change_of(way: str, **settings: Any) -> Change:
    build = way_kind(way).build
    assert build is not None
    return build(read_way({"way": way, **settings}), Tables(tables))


@pytest.fixture(autouse=True)
def _own_table(codes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wenlu.corpus.augment.ways.shapes.SOURCE", str(codes))


BY_TEXT = pytest.mark.parametrize("kind", [kind for kind in WAYS if kind.build], ids=attrgetter("name"))


def test_the_tuple_lists_exactly_the_files_of_the_folder() -> None:
    files = {module.name for module in pkgutil.iter_modules(wenlu.corpus.augment.ways.__path__)}
    assert {kind.name.replace("-", "_") for kind in WAYS} == files


@BY_TEXT
def test_a_change_is_a_function_of_the_text_and_the_random_numbers(kind: WayKind) -> None:
    change, again = change_of(kind.name), change_of(kind.name)
    for text in (ENGLISH, CHINESE, f"{ENGLISH}\n\n{CHINESE}"):
        made = [change(text, random.Random(seed)) for seed in range(8)]
        assert made == [again(text, random.Random(seed)) for seed in range(8)]


@BY_TEXT
@given(text=st.text(max_size=60))
def test_any_text_can_be_asked_to_change(kind: WayKind, text: str) -> None:
    assert change_of(kind.name)(text, random.Random(0)) or not text.strip() or kind.name == "typos"


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, "  two  spaces , here ", "3.5% of\n其中的 GPU"])
def test_words_and_gaps_are_the_text(text: str) -> None:
    assert Spelt.of(text).text == text


def test_a_word_comes_and_goes_with_its_space() -> None:
    spelt = Spelt.of("so, it is.")
    spelt.insert(1, "then")
    assert spelt.text == "so, then it is."
    spelt.insert(4, "now")
    assert spelt.text == "so, then it is now."
    spelt.delete(1)
    assert spelt.text == "so, it is now."
    spelt.delete(0)
    assert spelt.text == ", it is now."


def test_synonyms_stand_in_the_place_of_a_word_wherever_it_is() -> None:
    change = change_of("eda", operations=["synonyms"], alpha=0.1)
    made = {change("Happy or not, happy is happy.", random.Random(seed)) for seed in range(20)}
    assert made == {"Glad or not, happy is happy.", "Happy or not, glad is glad."}
    assert change("很满意，满意", random.Random(0)) == "很满足，满足"


def test_an_insertion_adds_a_synonym_of_a_word_of_the_text() -> None:
    made = change_of("eda", operations=["insertion"])("so happy", random.Random(3))
    assert Counter(words_of(made)) == Counter(["so", "happy", "glad"])


def test_swaps_keep_all_words_and_all_punctuation() -> None:
    made = change_of("eda", operations=["swap"], alpha=0.5)(ENGLISH, random.Random(1))
    assert made != ENGLISH
    assert Counter(words_of(made)) == Counter(words_of(ENGLISH))
    assert [mark for mark in made if mark in ",!"] == [",", "!"]


def test_as_many_words_are_deleted_as_alpha_says_and_one_stays() -> None:
    change = change_of("eda", operations=["deletion"], alpha=0.3)
    text = " ".join(["word"] * 50)
    left = [len(words_of(change(text, random.Random(seed)))) for seed in range(200)]
    assert 0.28 < 1 - sum(left) / (200 * 50) < 0.32  # four standard errors are 0.018
    assert change_of("eda", operations=["deletion"], alpha=0.99)("a b", random.Random(0)) in ("a", "b")


def test_punctuation_is_inserted_and_no_word_is_lost() -> None:
    for text, language in ((ENGLISH, "en"), (CHINESE, "zh")):
        made = change_of("aeda")(text, random.Random(2))
        more = Counter(made.replace(" ", "")) - Counter(text.replace(" ", ""))
        assert set(more) <= set(MARKS[language])
        assert 1 <= more.total() <= len(words_of(text, punctuation=False)) // 3
        assert words_of(made, punctuation=False) == words_of(text, punctuation=False)


def test_each_slip_of_the_hand_is_what_it_is_called() -> None:
    word = "abcdefgh"
    for seed in range(30):
        drawn = [change_of("typos", alpha=0.2, slips=[slip])(word, random.Random(seed)) for slip in ("drop", "double")]
        assert len(drawn[0]) <= len(word) <= len(drawn[1])
        assert Counter(change_of("typos", alpha=0.3, slips=["swap"])(word, random.Random(seed))) == Counter(word)
        near = change_of("typos", alpha=0.3, slips=["neighbour"])(word.upper(), random.Random(seed)).lower()
        assert all(a == b or b in neighbours()[a] for a, b in zip(word, near, strict=True))
    assert set(neighbours()["s"]) == set("awedxz")


def test_homophones_sound_alike_in_their_word() -> None:
    pypinyin = pytest.importorskip("pypinyin")
    change = change_of("homophones", alpha=0.5, tones=True)
    made = change("他去银行了。", random.Random(1))
    assert made != "他去银行了。"
    style = pypinyin.Style.TONE3
    before = pypinyin.lazy_pinyin("他去银行了", style=style)
    for character, sound in zip(made, before, strict=False):
        assert sound in [each for readings in pypinyin.pinyin(character, style, heteronym=True) for each in readings]


def test_characters_that_look_alike_share_a_half_or_all_parts() -> None:
    change = change_of("shapes", alpha=0.99)
    assert {change("清", random.Random(seed)) for seed in range(20)} >= {"请", "晴"}
    assert change("未", random.Random(0)) == "末"
    assert change("土 earth", random.Random(0)) == "土 earth"


def test_a_table_of_characters_of_the_users_own_is_asked_instead(tmp_path: Path) -> None:
    (tmp_path / "alike.txt").write_text("己已巳\n人 入\n")
    change = change_of("shapes", alpha=0.99, table=str(tmp_path / "alike.txt"))
    assert {change("己人", random.Random(seed)) for seed in range(20)} == {"已入", "巳入"}


def test_common_characters_are_of_the_script_of_the_text() -> None:
    assert len(common_characters(traditional=False)) == 3755
    assert len(common_characters(traditional=True)) == 5401
    assert is_traditional("這間飯店很乾淨")
    assert not is_traditional("这间饭店很干净")
    assert not is_traditional("all English")


def test_wordnet_gives_the_words_of_the_commonest_sense(tmp_path: Path) -> None:
    """Two synsets in the format of wndb(5WN); that of the second sense of `glad` is not asked."""
    for part in ("noun", "verb", "adv"):
        (tmp_path / f"data.{part}").write_text("  1 licence\n")
        (tmp_path / f"index.{part}").write_text("  1 licence\n")
    first = "00000020 00 a 03 glad 0 happy(a) 0 full_of_joy 0 000 | pleased\n"
    second = "00000090 00 a 02 glad 0 beaming 0 000 | cheerful\n"
    data = "  1 licence".ljust(19) + "\n" + first
    (tmp_path / "data.adj").write_text(data.ljust(89) + "\n" + second)
    (tmp_path / "index.adj").write_text("  1 licence\nglad a 2 1 ! 2 2 00000020 00000090\nhappy a 1 0 1 1 00000020\n")
    found = wordnet(tmp_path)
    assert found.of("Glad") == ("happy",)
    assert found.of("happy") == ("glad",)
    assert found.of("joy") == ()


def test_cedict_pairs_words_that_are_explained_alike(tmp_path: Path) -> None:
    path = tmp_path / "cedict.txt"
    path.write_text(
        "# CC-CEDICT\n"
        "酒店 酒店 [jiu3 dian4] /wine shop/hotel; restaurant/CL:家[jia1]/\n"
        "飯店 饭店 [fan4 dian4] /restaurant/hotel/\n"
        "旅館 旅馆 [lu:3 guan3] /hotel/inn/guesthouse/lodging house/\n"
        "店 店 [dian4] /hotel/restaurant/\n"
        "客店 客店 [ke4 dian4] /variant of 酒店[jiu3 dian4]/\n"
    )
    assert cedict(path).of("酒店") == ("饭店",)  # 2 of 3 are shared; with 旅馆 1 of 6
    assert cedict(path, traditional=True).of("飯店") == ("酒店",)


def test_a_file_of_synonyms_has_a_group_a_line(tmp_path: Path) -> None:
    path = tmp_path / "synonyms.txt"
    path.write_text("# mine\nquick, fast\tspeedy\n高兴 快乐\n快乐=开心\n")
    groups = SynonymGroups.read(path)
    assert groups.of("FAST") == ("quick", "speedy")
    assert groups.of("快乐") == ("高兴", "开心")
    (tmp_path / "empty.txt").write_text("# nothing\nalone\n")
    with pytest.raises(DataError, match=r"empty\.txt: no group of synonyms; write a group a line"):
        SynonymGroups.read(tmp_path / "empty.txt")
    assert [cased_as("Quick", "fast"), cased_as("QUICK", "fast"), cased_as("I", "me")] == ["Fast", "FAST", "Me"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("edda", "no way 'edda'; did you mean eda"),
        ({"way": "eda", "alfa": 0.1}, r"eda\.alfa: unknown key; did you mean alpha"),
        ({"way": "eda", "alpha": 2}, r"eda\.alpha: input should be less than 1"),
        ({"way": "back-translation", "there": "runs/a"}, r"back-translation\.back: field required"),
        (3, "write a way as"),
    ],
)
def test_what_is_no_way_is_told(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_way(value)
