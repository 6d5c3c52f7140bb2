from __future__ import annotations

import io
import json
import os
import subprocess
import tracemalloc
from pathlib import Path
from shutil import which

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError

EXAMPLES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60
COLUMNS = ("target", "source_language", "target_language", "context")
HEADER = 'msgid ""\nmsgstr ""\n"Language: zh_CN\\n"\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'
GOOD = 'msgid "One"\nmsgstr "一"\n\n'


def read(tmp_path: Path, content: str | bytes, **settings: object) -> list[Item]:
    path = tmp_path / "rows.po"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(open_source(SourceSpec.model_validate({"path": str(path), "meta": COLUMNS, **settings})))


def pairs(items: list[Item]) -> list[tuple[str, str]]:
    return [(item.text, item.meta["target"]) for item in items if isinstance(item, Record)]


def reasons(items: list[Item]) -> list[tuple[str, str]]:
    return [(item.record.id, item.reason) for item in items if isinstance(item, Drop)]


def test_an_entry_is_a_pair_in_the_language_of_the_header(tmp_path: Path) -> None:
    entry = '# note\n#. hint\n#: a.c:1\n#| msgid "Opn"\nmsgctxt "menu"\nmsgid "Open"\nmsgstr "打开"\n'
    (item,) = read(tmp_path, HEADER + entry, languages=["en", "zh"])
    meta = {"target": "打开", "source_language": "en", "target_language": "zh_CN", "context": "menu"}
    assert item == Record("Open", "rows.po:10", {**meta, "source": "rows.po"})


def test_strings_go_on_over_lines_and_escapes_are_taken_back(tmp_path: Path) -> None:
    entry = r"""
msgid ""
"A \"tab\":\t and\n"
"a path C:\\new \x41\101 \303\251."
msgstr "一\n"

"二"
"""
    assert pairs(read(tmp_path, entry)) == [('A "tab":\t and\na path C:\\new AA é.', "一\n二")]


def test_of_plurals_the_first_is_taken(tmp_path: Path) -> None:
    entry = 'msgid "%d file"\nmsgid_plural "%d files"\nmsgstr[0] "%d 个文件"\nmsgstr[1] "另"\n'
    assert pairs(read(tmp_path, entry)) == [("%d file", "%d 个文件")]


def test_entries_need_no_empty_line_between_them(tmp_path: Path) -> None:
    assert pairs(read(tmp_path, 'msgid "a"\nmsgstr "一"\nmsgctxt "c"\nmsgid "b"\nmsgstr "二"\n# note\n')) == [
        *(("a", "一"), ("b", "二"))
    ]


def test_what_is_no_translation_is_dropped_with_the_reason(tmp_path: Path) -> None:
    items = read(
        tmp_path,
        HEADER
        + '#, fuzzy, c-format\n\nmsgid "a"\nmsgstr "一"\n\n'
        + '#, c-format\nmsgid "b"\nmsgstr ""\n\n'
        + GOOD
        + '#~ msgctxt "x"\n#~ msgid "c"\n#~ msgstr "三"\n\n#~| msgid "old"\n#, fuzzy\n#~ msgid "d"\n#~ msgstr "四"\n',
    )
    assert pairs(items) == [("One", "一")]
    assert reasons(items) == [
        ("rows.po:8", "fuzzy"),
        ("rows.po:12", "untranslated"),
        ("rows.po:18", "obsolete"),
        ("rows.po:24", "obsolete"),
    ]


@pytest.mark.parametrize(
    ("entry", "detail"),
    [
        ('msgctxt "x"\nmsgid "a\nmsgstr "一"\n', "line 6: 'msgid \"a' is neither a keyword with a string nor a string"),
        ('msgid "a" b\nmsgstr "一"\n', "line 5: 'msgid \"a\" b' is neither a keyword"),
        ('"a"\nmsgid "a"\nmsgstr "一"\n', "line 5: '\"a\"' is neither a keyword"),
        ('msgid "a"\nmsgid "b"\nmsgstr "一"\n', "line 6: msgid stands in one entry twice"),
        ('msgid "a\\q"\nmsgstr "一"\n', "line 5: the escape \\q is unknown"),
        ('msgid "a\\377"\nmsgstr "一"\n', "line 5: its escaped bytes are not UTF-8 (invalid start byte)"),
        ('msgid "a"\n# note\n', "line 5: an entry without msgstr"),
        ('msgstr "一"\n', "line 5: an entry without msgid"),
        ('msgid "' + "a" * 70 + '"\nmsgstr "' + "b" * 70 + '"\n', "line 6: the entry is over max_record_bytes = 150"),
    ],
)
def test_a_malformed_entry_is_set_aside_with_its_line(tmp_path: Path, entry: str, detail: str) -> None:
    content = f"{GOOD}# note\n{entry}\n{GOOD}"
    items = read(tmp_path, content, max_bad_fraction=0.5, max_record_bytes=150)
    assert pairs(items) == [("One", "一")] * 2
    assert reasons(items) == [("rows.po:5", "malformed entry")]
    with pytest.raises(DataError) as caught:
        read(tmp_path, content, max_record_bytes=150)
    assert str(caught.value).startswith(f"rows.po:5: malformed entry: {detail}")


def test_the_encoding_is_the_one_that_the_header_declares(tmp_path: Path) -> None:
    content = HEADER.replace("UTF-8", "gb2312") + GOOD
    assert pairs(read(tmp_path, content.encode("gb2312"))) == [("One", "一")]
    assert pairs(read(tmp_path, HEADER.replace("UTF-8", "CHARSET") + GOOD)) == [("One", "一")]
    for name in ("utf-9", "punycode"):
        with pytest.raises(
            DataError, match=rf"rows\.po: declares the encoding '{name}', which does not exist; correct"
        ):
            read(tmp_path, HEADER.replace("UTF-8", name) + GOOD)


def test_a_catalogue_of_another_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.po, line 1: a translation to zh_CN, not to de as languages = \['en', "):
        read(tmp_path, HEADER + GOOD, languages=["en", "de"])


def test_a_line_over_the_cap_and_a_nul_byte_are_errors(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"rows\.po, line 1: longer than max_record_bytes = 100; raise it, or is this a"
    ):
        read(tmp_path, f'msgid "{"x" * 200}"\n', max_record_bytes=100)
    with pytest.raises(DataError, match=r"rows\.po, line 1, byte 7: a NUL byte"):
        read(tmp_path, 'msgid "\0"\n')


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.po"
    path.write_text(HEADER + "".join(f'msgid "{i}"\nmsgstr "{"字" * 200}"\n\n' for i in range(4_000)))
    tracemalloc.start()
    count = sum(1 for _ in open_source(SourceSpec(path=str(path))))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 4_000
    assert peak < 1 << 20


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('\n\t"\\ '), min_size=1, max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=EXAMPLES, deadline=None)
@given(st.dictionaries(TEXT, st.tuples(TEXT, st.booleans()), min_size=1, max_size=5))
def test_what_another_program_writes_is_read_alike(tmp_path: Path, messages: dict[str, tuple[str, bool]]) -> None:
    pofile = pytest.importorskip("babel.messages.pofile")
    from babel.messages.catalog import Catalog

    catalog = Catalog(locale="zh_CN")
    for source, (target, fuzzy) in messages.items():
        catalog.add(source, target, flags=["fuzzy"] if fuzzy else [])
    written = io.BytesIO()
    pofile.write_po(written, catalog, width=30)
    expected = [
        (source, target)
        for source, (target, fuzzy) in messages.items()
        if not fuzzy and target.strip() and source.strip()
    ]
    items = read(tmp_path, written.getvalue() + b'\nmsgid "kept"\nmsgstr "kept"\n')
    assert pairs(items) == [*expected, ("kept", "kept")]


@pytest.mark.skipif(which("msgfmt") is None, reason="gettext is not installed")
def test_gettext_compiles_what_is_read_here(tmp_path: Path) -> None:
    """The example of escapes above, through gettext's own compiler and Python's reader of its output."""
    import gettext

    content = (
        HEADER + r'msgid "A \"tab\":\t and\n" "x"'.replace('" "', '"\n"') + '\nmsgstr "一\\n"\n\n"二\\101\\303\\251"\n'
    )
    path = tmp_path / "rows.po"
    path.write_text(content)
    subprocess.run(["msgfmt", str(path), "-o", str(tmp_path / "rows.mo")], check=True)
    with (tmp_path / "rows.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    ((source, target),) = pairs(read(tmp_path, content))
    assert compiled.gettext(source) == target
    assert json.dumps(target, ensure_ascii=False) == '"一\\n二Aé"'
