from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError

COLUMNS = ("target", "source_language", "target_language")


def tuv(language: str, seg: str) -> str:
    return f'<tuv xml:lang="{language}"><prop type="x">note</prop><seg>{seg}</seg></tuv>'


def tmx(*units: str, srclang: str = "en", head: str = "") -> str:
    body = "\n".join(f"<tu>{unit}</tu>" for unit in units)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{head}<tmx version="1.4">'
        f'<header srclang="{srclang}" segtype="sentence"><note>n</note></header><body>\n{body}\n</body></tmx>\n'
    )


def read(tmp_path: Path, content: str | bytes, **settings: object) -> list[Item]:
    path = tmp_path / "rows.tmx"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(open_source(SourceSpec.model_validate({"path": str(path), "meta": COLUMNS, **settings})))


def pairs(items: list[Item]) -> list[tuple[str, ...]]:
    return [(item.text, *(item.meta.get(name, "") for name in COLUMNS)) for item in items if isinstance(item, Record)]


def test_a_unit_is_a_pair_of_texts(tmp_path: Path) -> None:
    (item,) = read(tmp_path, tmx(tuv("zh-CN", "春眠不觉晓") + tuv("en", " Asleep &amp; warm ")))
    meta = {"target": "春眠不觉晓", "source_language": "en", "target_language": "zh-CN", "source": "rows.tmx"}
    assert item == Record("Asleep & warm", "rows.tmx:1", meta)


def test_codes_go_and_marked_text_stays(tmp_path: Path) -> None:
    segment = (
        'One <bpt i="1">&lt;b title="<sub>tip</sub>"&gt;</bpt>bold<ept i="1">&lt;/b&gt;</ept>, <hi>a <it pos="begin">'
        "&lt;i&gt;</it>word</hi><!-- note -->, <ph>{0}</ph>end<ut>u</ut>."
    )
    (pair,) = pairs(read(tmp_path, tmx(tuv("en", segment) + tuv("zh", "一"))))
    assert pair[0] == "One bold, a word, end."


def test_languages_choose_two_of_several(tmp_path: Path) -> None:
    content = tmx(
        tuv("en-GB", "colour") + tuv("de", "Farbe") + tuv("zh-TW", "顏色") + tuv("zh", "颜色"), tuv("en", "x")
    )
    with pytest.raises(DataError, match=r"rows\.tmx, line 3: a unit in en-GB, de, zh-TW, zh; name the two that you wa"):
        read(tmp_path, content)
    items = read(tmp_path, content, languages=["zh", "en"])
    assert pairs(items) == [("颜色", "colour", "zh", "en-GB")]
    assert [item.reason for item in items if isinstance(item, Drop)] == ["not in both languages"]
    assert pairs(read(tmp_path, content, languages=["DE", "zh-TW"])) == [("Farbe", "顏色", "de", "zh-TW")]


def test_without_a_source_language_the_first_text_is_it(tmp_path: Path) -> None:
    content = tmx(tuv("fr", "un") + tuv("zh", "一"), srclang="*all*")
    assert pairs(read(tmp_path, content)) == [("un", "一", "fr", "zh")]


def test_the_target_may_be_the_text(tmp_path: Path) -> None:
    (item,) = read(tmp_path, tmx(tuv("en", "one") + tuv("zh", "一")), text="target")
    assert isinstance(item, Record)
    assert item.text == "一"


def test_units_without_translation_are_dropped_and_those_without_language_are_bad(tmp_path: Path) -> None:
    good = tuv("en", "one") + tuv("zh", "一")
    content = tmx(good, tuv("en", "one") + tuv("zh", " "), tuv("en", "") + tuv("zh", "一"), "<tuv><seg>x</seg></tuv>")
    items = read(tmp_path, content, max_bad_fraction=0.3)
    assert [item.reason for item in items if isinstance(item, Drop)] == ["untranslated", "empty", "malformed unit"]
    with pytest.raises(
        DataError, match=r"rows\.tmx:4: malformed unit: the <tu> of line 6: a <tuv> in it has no xml:la"
    ):
        read(tmp_path, content)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030"])
def test_the_encoding_is_the_one_that_the_file_declares(tmp_path: Path, encoding: str) -> None:
    content = tmx(tuv("en", "one") + tuv("zh", "一")).replace("UTF-8", encoding).encode(encoding)
    assert pairs(read(tmp_path, content)) == [("one", "一", "en", "zh")]


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.tmx.gz"
    path.write_bytes(gzip.compress(tmx(tuv("en", "one") + tuv("zh", "一")).encode()))
    assert len(list(open_source(SourceSpec(path=str(path))))) == 1


def test_malformed_xml_is_located(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.tmx, line 4: malformed XML: .+\. Is the file whole\?"):
        read(tmp_path, tmx(tuv("en", "one") + tuv("zh", "一"), "<tuv></seg>"))
    with pytest.raises(DataError, match=r"its outermost element is <html>, not <tmx>; is it a TMX file\?"):
        read(tmp_path, "<html><body/></html>")


def test_a_document_type_without_entities_is_read_and_not_fetched(tmp_path: Path) -> None:
    head = '<!DOCTYPE tmx SYSTEM "http://127.0.0.1:1/tmx14.dtd">\n'
    assert len(pairs(read(tmp_path, tmx(tuv("en", "one") + tuv("zh", "一"), head=head)))) == 1


def test_a_billion_laughs_are_refused(tmp_path: Path) -> None:
    laughs = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(9))
    head = f'<!DOCTYPE tmx [<!ENTITY l0 "ha">{laughs}]>\n'
    for unit in (tuv("en", "&l9;"), tuv("&l9;", "x")):
        with pytest.raises(
            DataError, match=r"rows\.tmx: declares the entity 'l0', and files with entities are refused"
        ):
            read(tmp_path, tmx(unit + tuv("zh", "一"), head=head))
    with pytest.raises(DataError, match=r"rows\.tmx"):
        read(tmp_path, tmx(tuv("en", "x"), head=head).replace('version="1.4"', 'version="&l9;"'))


@pytest.mark.parametrize("declared", ['<!ENTITY e SYSTEM "{}">', '<!ENTITY % e SYSTEM "{}"> %e;'])
def test_another_file_is_never_read(tmp_path: Path, declared: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    head = f"<!DOCTYPE tmx [{declared.format(secret.as_uri())}]>\n"
    with pytest.raises(DataError, match=r"rows\.tmx") as caught:
        read(tmp_path, tmx(tuv("en", "&e;") + tuv("zh", "一"), head=head))
    assert "secret" not in str(caught.value)


def test_an_entity_that_nothing_declares_is_not_passed_over(tmp_path: Path) -> None:
    unit = tuv("en", "a&nbsp;b") + tuv("zh", "一")
    with pytest.raises(
        DataError, match=r"after line 3: malformed XML: cut off, or with an entity that is not declared"
    ):
        read(tmp_path, tmx(unit))
    secret = tmp_path / "tmx14.dtd"
    secret.write_text('<!ENTITY nbsp "secret">')
    with pytest.raises(DataError, match=r"rows\.tmx:1: malformed unit: .* the entity &nbsp; is not declared"):
        read(tmp_path, tmx(unit, head=f'<!DOCTYPE tmx SYSTEM "{secret.as_uri()}">\n'))


def test_elements_in_elements_are_read_to_any_depth_that_the_parser_allows(tmp_path: Path) -> None:
    (pair,) = pairs(read(tmp_path, tmx(tuv("en", "<hi>" * 200 + "deep" + "</hi>" * 200) + tuv("zh", "一"))))
    assert pair[0] == "deep"
    with pytest.raises(DataError, match=r"rows\.tmx, (after )?line \d+: malformed XML: "):
        read(tmp_path, tmx(tuv("en", "<hi>" * 5000 + "</hi>" * 5000) + tuv("zh", "一")))


def test_a_unit_over_the_cap_is_an_error(tmp_path: Path) -> None:
    content = tmx(tuv("en", "one") + tuv("zh", "一"), "<note>x</note>" * 100_000)
    with pytest.raises(DataError, match=r"rows\.tmx: more than max_record_bytes = 100000 before the end of a <tu>; ra"):
        read(tmp_path, content, max_record_bytes=100_000)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.tmx"
    unit = f"<tu>{tuv('en', 'word ' * 200)}{tuv('zh', '字' * 200)}</tu>\n"
    path.write_text('<tmx version="1.4"><header srclang="en"/><body>' + unit * 20_000 + "</body></tmx>")
    items = open_source(SourceSpec(path=str(path)))
    for _ in range(1000):
        next(items)
    before = resident()
    assert sum(1 for _ in items) == 19_000
    assert resident() - before < 4 << 20  # of 34 MB


def resident() -> int:
    """Bytes of memory that the process holds; libxml2's are not seen by tracemalloc."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
