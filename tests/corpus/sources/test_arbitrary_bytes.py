"""Whatever the bytes of a labelled file are, they give records, records set aside, or an error for users."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError

EXAMPLES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60
PIECES = {
    "conll": "-DOCSTART-|中| O|\tB-X|\n|\n\n|\u3000",
    "conllu": "1\ta\t_\tX\t_\t_\t0\td\t_\t_\n|1-2|3.1|\t_|# text = a|# newdoc|\n|\n\n|2\t",
    "tmx": "<tmx>|</tmx>|<tu>|</tu>|<tuv xml:lang='en'>|</tuv>|<seg>a</seg>|<header srclang='en'/>|&a;|&#0;|<!--|]]>|"
    "<!DOCTYPE tmx [<!ENTITY a 'b'>]>|<?xml version='1.0' encoding='x'?>",
    "xliff": "<xliff srcLang='en'>|</xliff>|<unit>|</unit>|<segment>|</segment>|<source>a</source>|<file>|</file>|"
    "<target>b</target>|<trans-unit>|</trans-unit>|&a;|<![CDATA[",
    "po": 'msgid "a"\n|msgstr "b"\n|msgid ""\n|msgstr "Language: zh\\n"\n|"c\\|\\x4"\n|#~ |#, fuzzy\n|\n|msgctxt "|'
    'msgstr[0]|"Content-Type: text/plain; charset=|idna|utf-7|rot13|utf-16',
    "moses": "a|\n|\r|中",
}
"""What the formats are made of, parted by `|`, so that more than the first check of a reader is reached."""
KEYS = ["data", "text", "annotations", "result", "type", "value", "choices", "labels", "start", "end", "rating"]
KEYS += ["paragraphs", "qas", "context", "question", "answers", "answer_start", "id", "is_impossible", "title"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["a", "\ud800", *KEYS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)


def read(tmp_path: Path, kind: str, data: bytes) -> None:
    path = tmp_path / "damaged.en"
    path.write_bytes(data)
    (tmp_path / "damaged.zh").write_bytes(data[: len(data) // 2])
    languages = ("en", "zh") if kind == "moses" else ()
    spec = SourceSpec(path=str(path), kind=kind, languages=languages, max_bad_fraction=1.0, max_record_bytes=1000)
    with suppress(DataError):
        list(open_source(spec))


@pytest.mark.parametrize("kind", list(PIECES))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_bytes_of_any_kind_are_read_or_refused(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    pieces = st.sampled_from([piece.encode() for piece in PIECES[kind].split("|")])
    read(tmp_path, kind, b"".join(data.draw(st.lists(pieces | pieces | pieces | st.binary(max_size=12), max_size=30))))


@pytest.mark.parametrize("kind", ["squad", "label-studio"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=2 * EXAMPLES, deadline=None)
@given(value=JSON, data=st.data())
def test_json_of_any_shape_is_read_or_refused(tmp_path: Path, kind: str, value: object, data: st.DataObject) -> None:
    content = json.dumps(value).encode()
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(content)))
        content = content[:at] + data.draw(st.binary(max_size=5)) + content[at:]
    read(tmp_path, kind, content)
