"""What every kind of source promises: the same records in the same order, shared out and resumed without loss."""

from __future__ import annotations

import base64
import csv
import json
import shutil
from collections.abc import Callable
from functools import partial
from itertools import chain, zip_longest
from operator import attrgetter
from pathlib import Path
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.contracts import talks

import wenlu.corpus.sources
from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.source import FileKind, SourceKind
from wenlu.corpus.sources import SOURCES, SourceSpec, open_source
from wenlu.errors import DataError, WenluError

TEXTS = [
    "First, a text.",
    "春眠不觉晓，\n处处闻啼鸟。",
    "Third: 12 > 3.",
    "",
    "Fifth.",
    "Sixth, and “quoted”.",
    "Last of all.",
]
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC")
"""One red pixel."""
ROWS = [{"text": text, "author": f"author {i}"} for i, text in enumerate(TEXTS)]


def tiny_pdf(text: str) -> bytes:
    """A one-page PDF (ISO 32000-1 §7.5) that shows `text`."""
    stream = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode("latin-1")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 200] /Contents 4 0 R"
        b" /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return body + (
        b"xref\n0 5\n0000000000 65535 f \n%strailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (table, len(body))
    )


def text_files(folder: Path, suffix: str = ".txt") -> Path:
    for i, text in enumerate(TEXTS):
        (folder / f"{i}{suffix}").write_text(text)
    return folder


def text(folder: Path) -> SourceSpec:
    path = folder / "lines.txt"
    path.write_text("".join(f"{text}\n\n" for text in TEXTS))
    return SourceSpec(path=str(path), by="paragraph")


def markdown(folder: Path) -> SourceSpec:
    return SourceSpec(path=str(text_files(folder, ".md")))


def html(folder: Path) -> SourceSpec:
    for i, text in enumerate(TEXTS):
        (folder / f"{i}.html").write_text(f"<html><body><nav>Menu</nav><p>{text}</p></body></html>")
    return SourceSpec(path=str(folder))


def mail(folder: Path) -> SourceSpec:
    for i, text in enumerate(TEXTS):
        (folder / f"{i}.eml").write_text(f"Subject: {i}\nContent-Type: text/plain; charset=utf-8\n\n{text}")
    return SourceSpec(path=str(folder))


def pdf(folder: Path) -> SourceSpec:
    for i in range(5):
        (folder / f"{i}.pdf").write_bytes(tiny_pdf(f"Page of document {i}"))
    return SourceSpec(path=str(folder))


def python(folder: Path) -> SourceSpec:
    for i in range(5):
        (folder / f"module_{i}.py").write_text(f"# -*- coding: latin-1 -*-\nnumber = {i}\n")
    return SourceSpec(path=str(folder))


def python_functions(folder: Path) -> SourceSpec:
    for i in range(2):
        functions = (f'def f{j}(x):\n    """Add {j}."""\n    return x + {j}\n' for j in range(3))
        (folder / f"module_{i}.py").write_text("\n".join(functions))
    return SourceSpec(path=str(folder), kind="python-functions", text="prompt", meta=("completion", "name"))


def human_eval(folder: Path) -> SourceSpec:
    path = folder / "rows.jsonl"
    tests = {"test": "def check(f): pass", "entry_point": "f", "canonical_solution": "    pass\n"}
    path.write_text("".join(json.dumps({"task_id": str(i), "prompt": t, **tests}) + "\n" for i, t in enumerate(TEXTS)))
    return SourceSpec(path=str(path), kind="human-eval", meta=("completion", "unit_tests", "entry_point"))


def jsonl(folder: Path) -> SourceSpec:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return SourceSpec(path=str(path), meta=("author",))


def json_list(folder: Path) -> SourceSpec:
    path = folder / "rows.json"
    path.write_text(json.dumps(ROWS, indent=1))
    return SourceSpec(path=str(path), meta=("author",))


def table(folder: Path) -> SourceSpec:
    path = folder / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "author"])
        writer.writeheader()
        writer.writerows(ROWS)
    return SourceSpec(path=str(path), meta=("author",))


def parquet(folder: Path) -> SourceSpec:
    path = folder / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=3)
    return SourceSpec(path=str(path), meta=("author",))


def arrow_stream(path: Path, rows: list[dict[str, str]]) -> None:
    content = pa.Table.from_pylist(rows)
    with pa.ipc.new_stream(str(path), content.schema) as writer:
        writer.write_table(content, max_chunksize=3)


def arrow(folder: Path) -> SourceSpec:
    path = folder / "rows.arrow"
    arrow_stream(path, ROWS)
    return SourceSpec(path=str(path), meta=("author",))


def conll(folder: Path) -> SourceSpec:
    path = folder / "rows.conll"
    sentences = ("".join(f"{token}\tO\n" for token in text.split()) for text in TEXTS)
    path.write_text("-DOCSTART-\tO\n\n" + "\n".join(sentences))
    return SourceSpec(path=str(path), meta=("tokens", "tags", "document"))


def conllu(folder: Path) -> SourceSpec:
    path = folder / "rows.conllu"
    with path.open("w") as file:
        for text in TEXTS:
            for number, token in enumerate(text.split(), start=1):
                file.write(f"{number}\t{token}\t_\tX\t_\t_\t{number - 1}\tdep\t_\t_\n")
            file.write("\n")
    return SourceSpec(path=str(path), meta=("tokens", "upos", "heads"))


def squad(folder: Path) -> SourceSpec:
    path = folder / "rows.json"
    questions = [
        {"id": str(i), "question": text, "answers": [{"text": "春眠", "answer_start": 0}]}
        for i, text in enumerate(TEXTS)
    ]
    articles = [{"title": "孟浩然", "paragraphs": [{"context": TEXTS[1], "qas": questions}]}]
    path.write_text(json.dumps({"version": "1.1", "data": articles}))
    return SourceSpec(path=str(path), kind="squad", meta=("context", "answers"))


def pfr(folder: Path) -> SourceSpec:
    path = folder / "rows.txt"
    path.write_text("".join("  ".join(f"{word}/n" for word in text.split()) + "\n" for text in TEXTS))
    return SourceSpec(path=str(path), kind="pfr", text="words", meta=("tags", "entities"))


def label_studio(folder: Path) -> SourceSpec:
    path = folder / "rows.json"
    result = [{"type": "choices", "from_name": "tone", "value": {"choices": ["calm"]}}]
    tasks = [{"id": i, "data": row, "annotations": [{"result": result}]} for i, row in enumerate(ROWS)]
    path.write_text(json.dumps(tasks))
    return SourceSpec(path=str(path), kind="label-studio", meta=("author", "label"))


def tmx(folder: Path) -> SourceSpec:
    path = folder / "rows.tmx"
    units = "".join(
        f'<tu><tuv xml:lang="en"><seg>{escape(text)}</seg></tuv><tuv xml:lang="zh"><seg>译文</seg></tuv></tu>\n'
        for text in TEXTS
    )
    path.write_text(f'<tmx version="1.4"><header srclang="en"/><body>\n{units}</body></tmx>')
    return SourceSpec(path=str(path), meta=("target", "target_language"))


def xliff(folder: Path) -> SourceSpec:
    path = folder / "rows.xlf"
    units = "".join(
        f'<trans-unit id="{i}"><source>{escape(text)}</source><target>译文</target></trans-unit>\n'
        for i, text in enumerate(TEXTS)
    )
    path.write_text(
        '<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">'
        f'<file source-language="en" target-language="zh"><body>\n{units}</body></file></xliff>'
    )
    return SourceSpec(path=str(path), meta=("target", "target_language"))


def po(folder: Path) -> SourceSpec:
    path = folder / "rows.po"
    path.write_text(
        'msgid ""\nmsgstr "Language: zh\\n"\n\n'
        + "\n".join(
            f'msgctxt "{i}"\nmsgid {json.dumps(text, ensure_ascii=False)}\nmsgstr "译文"\n'
            for i, text in enumerate(TEXTS)
        )
    )
    return SourceSpec(path=str(path), meta=("target", "target_language", "context"))


def moses(folder: Path) -> SourceSpec:
    for language in ("en", "zh"):
        (folder / f"rows.{language}").write_text("".join(f"{text!r}\n" for text in TEXTS))
    return SourceSpec(path=str(folder / "rows.en"), kind="moses", languages=("en", "zh"), meta=("target",))


def pictures(folder: Path) -> SourceSpec:
    for i in range(5):
        (folder / f"red_square-{i}.png").write_bytes(PNG)
    (folder / "notes.png").write_text("no picture at all")
    return SourceSpec(path=str(folder), kind="pictures", meta=("format",))


def emoji(folder: Path) -> SourceSpec:
    (folder / "img" / "drawn" / "64").mkdir(parents=True)
    rows = []
    for i in range(6):
        (folder / "img" / "drawn" / "64" / f"{i}.png").write_bytes(PNG)
        face = f"1F60{i}"
        rows.append({"unified": face, "name": f"FACE {i}", "image": f"{i}.png", "has_img_drawn": i != 4})
    (folder / "emoji.json").write_text(json.dumps(rows))
    return SourceSpec(path=str(folder / "emoji.json"), kind="emoji", text="name", meta=("emoji", "style"))


def stdlib(folder: Path) -> SourceSpec:
    return SourceSpec(path="stdlib", limit=12)


def glob(folder: Path) -> SourceSpec:
    (folder / "inner").mkdir()
    text_files(folder / "inner")
    return SourceSpec(path=f"{folder}/**/*.txt")


def huggingface(folder: Path) -> SourceSpec:
    arrow_stream(folder / "data-00000-of-00002.arrow", ROWS[:3])
    arrow_stream(folder / "data-00001-of-00002.arrow", ROWS[3:])
    files = [{"filename": f"data-0000{i}-of-00002.arrow"} for i in range(2)]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_split": "train"}))
    return SourceSpec(path=str(folder), meta=("author",))


def folder(folder: Path) -> SourceSpec:
    jsonl(folder)
    text_files(folder)
    (folder / "picture.png").write_bytes(b"\x89PNG")
    return SourceSpec(path=str(folder))


SAMPLES: dict[str, Callable[[Path], SourceSpec]] = {
    "text": text,
    "markdown": markdown,
    "html": html,
    "mail": mail,
    "pdf": pdf,
    "python": python,
    "python-functions": python_functions,
    "human-eval": human_eval,
    "jsonl": jsonl,
    "json": json_list,
    "table": table,
    "parquet": parquet,
    "arrow": arrow,
    "conll": conll,
    "conllu": conllu,
    "squad": squad,
    "pfr": pfr,
    "label-studio": label_studio,
    "chitchat": partial(talks.chitchat, TEXTS),
    "chatterbot": partial(talks.chatterbot, TEXTS),
    "tmx": tmx,
    "xliff": xliff,
    "po": po,
    "moses": moses,
    "pictures": pictures,
    "emoji": emoji,
    "stdlib": stdlib,
    "glob": glob,
    "huggingface": huggingface,
    "folder": folder,
}

BY_NAME = {
    "squad": ".json",
    "label-studio": ".json",
    "chitchat": ".json",
    "chatterbot": ".yml",
    "moses": ".en",
    "pictures": ".png",
    "emoji": ".json",
    "pfr": ".txt",
    "python-functions": ".py",
    "human-eval": ".jsonl",
}
"""The suffix of the sample of each kind that only `kind` asks for."""

each_kind = pytest.mark.parametrize("kind", SOURCES, ids=attrgetter("name"))
each_file_kind = pytest.mark.parametrize(
    "kind", [kind for kind in SOURCES if isinstance(kind, FileKind)], ids=attrgetter("name")
)


@pytest.fixture
def spec(kind: SourceKind, tmp_path: Path) -> SourceSpec:
    root = tmp_path / "sample"
    root.mkdir()
    return SAMPLES[kind.name](root)


def test_the_tuple_lists_every_file_of_the_folder() -> None:
    package = Path(wenlu.corpus.sources.__file__).parent
    modules = {path.stem for path in package.glob("*.py") if path.stem != "__init__"}
    rows = {module for module in modules if getattr(wenlu.corpus.sources, module).KIND in SOURCES}
    assert rows == modules
    assert len(SOURCES) == len(modules)
    assert {kind.name for kind in SOURCES} == set(SAMPLES)


def test_no_two_kinds_share_a_name_or_a_suffix() -> None:
    names = [kind.name for kind in SOURCES]
    suffixes = [suffix for kind in SOURCES if isinstance(kind, FileKind) for suffix in kind.suffixes]
    assert len(set(names)) == len(names)
    assert len(set(suffixes)) == len(suffixes)


@each_kind
def test_two_readings_are_equal(spec: SourceSpec) -> None:
    first = list(open_source(spec))
    assert len(first) >= 5
    assert list(open_source(spec)) == first


@each_kind
@pytest.mark.parametrize("world_size", [2, 3, 16])
def test_readers_share_the_items_out_without_loss_or_overlap(spec: SourceSpec, world_size: int) -> None:
    shares = [list(open_source(spec, rank=rank, world_size=world_size)) for rank in range(world_size)]
    missing = object()
    merged = [item for item in chain(*zip_longest(*shares, fillvalue=missing)) if item is not missing]
    assert merged == list(open_source(spec))


@each_kind
def test_reading_resumes_from_any_position(spec: SourceSpec) -> None:
    whole = list(open_source(spec))
    for start in range(len(whole) + 1):
        assert list(open_source(spec, start=start)) == whole[start:]
    assert list(open_source(spec, start=3, rank=1, world_size=2)) == whole[3::2]


@each_kind
def test_each_record_names_its_source_and_has_an_id_of_its_own(spec: SourceSpec) -> None:
    records = [record_of(item) for item in open_source(spec.model_copy(update={"name": "mine"}))]
    assert {record.meta["source"] for record in records} == {"mine"}
    assert len({record.id for record in records}) == len(records)
    assert all(record.id.startswith("mine") for record in records)


@each_kind
def test_no_more_than_the_limit_is_read(spec: SourceSpec) -> None:
    assert list(open_source(spec.model_copy(update={"limit": 2}))) == list(open_source(spec))[:2]


@each_kind
def test_no_record_is_empty_and_each_drop_has_a_reason(spec: SourceSpec) -> None:
    for item in open_source(spec):
        if isinstance(item, Record):
            assert item.text.strip()
        else:
            assert item.step == "source"
            assert item.reason


@each_file_kind
def test_an_empty_file_is_refused_by_name(kind: FileKind, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"empty\.\w+"):
        list(open_source(empty(kind, tmp_path, "empty")))


@each_file_kind
def test_a_file_that_vanishes_is_named(kind: FileKind, tmp_path: Path) -> None:
    spec = empty(kind, tmp_path, "short-lived")
    items = open_source(spec)
    Path(spec.path).unlink()
    with pytest.raises(DataError, match=r"short-lived\.\w+: no longer there; was it moved while it was read\?"):
        list(items)


@each_file_kind
def test_damage_anywhere_gives_records_or_an_error_for_users(kind: FileKind, spec: SourceSpec, tmp_path: Path) -> None:
    suffix = suffix_of(kind)
    sample = next(path for path in sorted(Path(spec.path).parent.rglob(f"*{suffix}")))
    data = sample.read_bytes()
    for sibling in sample.parent.glob(f"{sample.stem}.*"):
        shutil.copy(sibling, tmp_path / f"damaged{sibling.suffix}")
    path = tmp_path / f"damaged{suffix}"
    changed = spec.model_copy(update={"path": str(path), "max_bad_fraction": 1.0})
    outcomes = []
    for at in range(0, len(data), max(1, len(data) // 25)):
        for damaged in (data[:at], data[:at] + b"\xff\x00{\n" + data[at:], data[:at] + data[at + 7 :]):
            path.write_bytes(damaged)
            outcomes.append(outcome(changed))
    assert all("damaged" in outcome for outcome in outcomes if outcome is not None)
    assert any(outcomes)


def suffix_of(kind: FileKind) -> str:
    return kind.suffixes[0] if kind.suffixes else BY_NAME[kind.name]


def empty(kind: FileKind, folder: Path, name: str) -> SourceSpec:
    """A source of an empty file, which is asked for by its kind where its suffix does not tell."""
    path = folder / f"{name}{suffix_of(kind)}"
    path.touch()
    if kind.name == "moses":
        path.with_suffix(".zh").touch()
        return SourceSpec(path=str(path), kind=kind.name, languages=("en", "zh"))
    return SourceSpec(path=str(path), kind="auto" if kind.suffixes else kind.name)


def outcome(spec: SourceSpec) -> str | None:
    """None where the source can be read; else the message."""
    try:
        list(open_source(spec))
    except WenluError as error:
        return str(error)
    return None


def record_of(item: Item) -> Record:
    return item.record if isinstance(item, Drop) else item
