from __future__ import annotations

import json
import math
import string
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from wenlu.html import VOID, element, join, plain
from wenlu.lifecycle.report import write_report
from wenlu.lifecycle.report.words import WORDS, Language
from wenlu.rundir import Run

METRICS = [
    {"name": "bits_per_byte", "value": 1.25, "low": 1.2, "high": 1.3, "n": 40, "unit": "bits/byte"}
    | {"better": "lower", "signature": "stride:128"},
    {"name": "ngram_bits_per_byte", "value": 1.5, "low": 1.4, "high": 1.6, "n": 40, "unit": "bits/byte"}
    | {"better": "lower", "signature": "kneser-ney:order:4"},
]


class Outline(HTMLParser):
    """Checks that every element is closed; collects the names, the text and the addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.text: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("href", "src", "action", "data", "poster")]
        assert not [key for key, _ in attrs if key.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def write(folder: Path, name: str, content: Any) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def small_run(folder: Path, config: str = 'name = "small"\n[model]\nfamily = "gru"\n') -> Path:
    with Run.create(folder, config, {"wenlu": "0.1.0", "command": ["wenlu", "run", "a.toml"]}) as run:
        for step in range(1, 31):
            at = {"step": step, "tokens": 1000 * step, "seconds": 3.0 * step}
            run.log("loss", 8.0 / step, "nats/token", **at)
            run.log("learning_rate", 1 - step / 30, "of peak", **at)
            if step % 10 == 0:
                run.log("validation", 2 + 1 / step, "bits/byte", **at)
    return folder


def statistics(*, reason: str = "too short", note: str = "a note") -> dict[str, Any]:
    split = {"records": 3, "characters": 30, "bytes": 3000, "clusters": 3, "languages": {"en": 2, "zh": 1}}
    split |= {"sources": {"a": 3}, "length_quantiles": {"median": 9}, "length_histogram": [[16, 3]]}
    shared = {"held_out": "test", "other": "train", "records": 3, "exact": 1, "near_duplicates": 2}
    return {
        "seed": 0,
        "settings": {},
        "read": 8,
        "kept": 6,
        "splits": {"train": split, "test": split},
        "dropped": [{"step": "length", "reason": reason, "records": 2}],
        "examples": [],
        "duplicates": {"threshold": 0.5, "exact": 0, "clusters": 1, "records": 2, "largest": 2},
        "overlap": [{**shared, "ngrams": 0.25, "sampled": 1.0}],
        "files": {},
        "notes": [note],
    }


def text_of(report: Path) -> str:
    return " ".join(Outline(report.read_text(encoding="utf-8")).text)


def test_both_languages_have_the_same_words_with_the_same_places() -> None:
    def places(table: dict[str, str]) -> dict[str, set[str]]:
        return {key: {name for _, name, _, _ in string.Formatter().parse(text) if name} for key, text in table.items()}

    assert places(WORDS["en"]) == places(WORDS["zh"])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_run_with_nothing_but_settings_has_a_report_that_names_what_is_absent(
    tmp_path: Path, language: Language
) -> None:
    Run.create(tmp_path, 'name = "x"\n', {}).close()
    text = text_of(write_report(tmp_path, language))
    for name in ("events.jsonl", "data/statistics.json", "evaluation.json", "samples.json"):
        assert WORDS[language]["absent.missing"].format(name=name) in text


def test_the_sentence_says_what_was_made_and_whether_it_is_better(tmp_path: Path) -> None:
    small_run(tmp_path)
    (tmp_path / "model").mkdir()
    save_file({"a": torch.zeros(1000, 300), "b": torch.zeros(5)}, tmp_path / "model" / "model.safetensors")
    difference = {"value": -0.25, "low": -0.3, "high": -0.2}
    write(tmp_path, "evaluation.json", {"metrics": METRICS, "difference": difference})
    assert (
        "A gru model of 300k parameters, trained for 1 min 30 s on 30k tokens, needs 1.250 bits per byte on text it "
        "has not seen. The n-gram baseline needs 1.500 on the same text: the model is better."
    ) in text_of(write_report(tmp_path, "en"))
    assert (
        "gru 模型，300k 个参数，用 1 分 30 秒 学习了 30k 个词元，在未见过的文本上每字节需 1.250 比特。"
        "同一文本上 n 元模型基线为 1.500：本模型更好。"
    ) in text_of(write_report(tmp_path, "zh"))


@pytest.mark.parametrize("section", ["[train]\nema = 0.99\n", '[optimizer]\nname = "schedule-free"\n'])
def test_the_curves_say_that_weights_are_averaged(tmp_path: Path, section: str) -> None:
    note = "Validation, samples and the saved model use an average of the weights"
    assert note in text_of(write_report(small_run(tmp_path / "a", f'name = "a"\n{section}'), "en"))
    assert note not in text_of(write_report(small_run(tmp_path / "b"), "en"))


def test_the_validation_chart_shows_no_score_of_another_split(tmp_path: Path) -> None:
    small_run(tmp_path)
    write(tmp_path, "evaluation.json", {"metrics": METRICS})
    page = write_report(tmp_path, "en").read_text(encoding="utf-8")
    charts = page[page.index('class="charts"') : page.index('id="evaluation"')]
    assert "Validation" in charts
    assert "n-gram" not in charts


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.3, -0.1, "the model is better"), (0.1, 0.3, "the model is worse"), (-0.1, 0.1, "stays open")],
)
def test_the_verdict_follows_the_paired_interval_and_not_the_point(
    tmp_path: Path, low: float, high: float, verdict: str
) -> None:
    small_run(tmp_path)
    difference = {"value": (low + high) / 2, "low": low, "high": high}
    write(tmp_path, "evaluation.json", {"metrics": METRICS, "difference": difference})
    assert verdict in text_of(write_report(tmp_path, "en"))


def test_without_a_paired_interval_there_is_no_verdict(tmp_path: Path) -> None:
    small_run(tmp_path)
    write(tmp_path, "evaluation.json", {"metrics": METRICS})
    text = text_of(write_report(tmp_path, "en"))
    assert "The n-gram baseline needs 1.500 on the same text." in text
    assert "the model is" not in text


def test_the_report_holds_no_script_and_no_address_outside_itself(tmp_path: Path) -> None:
    small_run(tmp_path)
    outline = Outline(write_report(tmp_path, "en").read_text(encoding="utf-8"))
    assert outline.names.isdisjoint({"script", "link", "img", "iframe", "object", "form", "base"})
    assert all(address.startswith("#") for address in outline.addresses)
    assert not [text for text in outline.text if "url(" in text or "@import" in text]


def test_intervals_are_named_by_the_confidence_of_the_evaluation(tmp_path: Path) -> None:
    small_run(tmp_path)
    write(tmp_path, "evaluation.json", {"metrics": METRICS, "settings": {"confidence": 0.9}})
    text = text_of(write_report(tmp_path, "en"))
    assert "90% interval 1.200 to 1.300" in text
    assert "95%" not in text


def test_the_data_are_counted_and_what_the_parts_share_is_shown(tmp_path: Path) -> None:
    small_run(tmp_path)
    write(tmp_path, "data/statistics.json", statistics())
    text = text_of(write_report(tmp_path, "en"))
    assert "6 of 8 records were kept" in text
    assert "Near-duplicates among them (Jaccard ≥ 0.5): records 2, clusters 1; no cluster is split." in text
    assert "training 3 30 2.93 KiB 9" in text
    assert "length too short 2" in text
    assert "test training 1 2 25.00 %" in text
    assert "en 4 zh 2" in text


HOSTILE = "</title></style></pre><script>alert(1)</script><a href=\"javascript:x\" onclick='y'>&lt;"


def test_hostile_text_anywhere_stays_text(tmp_path: Path) -> None:
    config = f"name = {json.dumps(HOSTILE)}\n[{json.dumps(HOSTILE)}]\nkey = {json.dumps(HOSTILE)}\n"
    with Run.create(tmp_path, config, {HOSTILE: HOSTILE, "command": [HOSTILE]}) as run:
        run.log("loss", 1.0, HOSTILE, step=1, tokens=1, seconds=1.0)
    row = {"family": HOSTILE, "bits_per_byte": 1.0}
    write(tmp_path, "architectures.json", [row, {**row, "bits_per_byte": 2.0}])
    write(tmp_path, "samples.json", [{"prompt": HOSTILE, "text": HOSTILE, "settings": {HOSTILE: HOSTILE}}])
    write(tmp_path, "evaluation.json", {"metrics": [dict.fromkeys((*METRICS[0], HOSTILE), HOSTILE)]})
    write(tmp_path, "data/statistics.json", statistics(reason=HOSTILE, note=HOSTILE))
    outline = Outline(write_report(tmp_path, "en").read_text(encoding="utf-8"))
    assert outline.names.isdisjoint({"script"})
    assert all(address.startswith("#") for address in outline.addresses)
    assert sum(HOSTILE in text for text in outline.text) >= 12


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_text_and_attributes_survive_as_they_are(text: str) -> None:
    page = join("x", element("p", "", text, id=text))

    class Reader(HTMLParser):
        seen: tuple[str, str] = ("", "")

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.seen = (tag, attrs[0][1] or "")

        def handle_data(self, data: str) -> None:
            self.data = getattr(self, "data", "") + data

    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.seen == ("p", plain(text))
    assert reader.data == "x" + plain(text)


def test_control_characters_and_direction_marks_become_visible() -> None:
    assert plain("a\x00\x1b\x7fb\u202ec\ud800\td\n") == "a␀␛␡b[U+202E]c?\td\n"


@pytest.mark.parametrize(
    "content", ["", "null", "3", "[]", "{}", "{", "\udcff", '{"metrics": 5}', '{"metrics": [1, {"name": 2}]}', "[[]]"]
)
@pytest.mark.parametrize(
    "name",
    [
        "evaluation.json",
        "samples.json",
        "architectures.json",
        "profile/costs.json",
        "data/statistics.json",
        "provenance.json",
    ],
)
def test_a_damaged_part_never_stops_the_report(tmp_path: Path, name: str, content: str) -> None:
    small_run(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content.encode(errors="surrogateescape"))
    assert "small" in text_of(write_report(tmp_path, "en"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
KEYS = ("metrics", "bits_per_byte", "ngram_bits_per_byte", "difference", "name", "value", "low", "high", "family")


@given(content=st.dictionaries(st.sampled_from(KEYS), JSON | st.lists(st.dictionaries(st.sampled_from(KEYS), JSON))))
@settings(max_examples=60, deadline=None)
def test_no_content_of_the_parts_stops_the_report(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    Run.create(folder, 'name = "x"\n', {"a": [content]}).close()
    for name in ("evaluation.json", "data/statistics.json"):
        write(folder, name, content)
    for name in ("samples.json", "architectures.json"):
        write(folder, name, [content, {**content, "family": "x"}])
    Outline(write_report(folder, "zh").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("language", "heading"), [("en", "Costs of a step"), ("zh", "一步的开销")])
def test_a_profiled_run_shows_what_a_step_costs(tmp_path: Path, language: Language, heading: str) -> None:
    small_run(tmp_path)
    assert heading not in text_of(write_report(tmp_path, language))
    row = {"name": "aten::mm", "share": 0.41, "ms_per_step": 7.25, "calls_per_step": 30.0}
    write(tmp_path, "profile/costs.json", [row])
    text = text_of(write_report(tmp_path, language))
    assert heading in text
    assert all(part in text for part in ("aten::mm", "0.41", "7.25", "30"))


def test_a_corrupt_event_ends_the_curves_and_is_named(tmp_path: Path) -> None:
    small_run(tmp_path)
    log = tmp_path / "events.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"step":20', b'"step":21', 1))
    report = write_report(tmp_path, "en")
    assert "line 40: does not match its checksum" in text_of(report)
    assert "Training loss" in text_of(report)


def test_values_that_are_not_finite_are_counted_and_not_drawn(tmp_path: Path) -> None:
    with Run.create(tmp_path, 'name = "x"\n', {}) as run:
        for step, value in enumerate((3.0, math.nan, 2.0, math.inf, 1.0), start=1):
            run.log("loss", value, "nats/token", step=step, tokens=step, seconds=step)
    page = write_report(tmp_path, "en").read_text(encoding="utf-8")
    assert "2 values that are not finite are left out" in page
    assert page.count("<circle") == 3
    assert 'points="' in page
    assert "nan" not in page.split('points="')[1].split('"')[0]


@pytest.mark.parametrize("values", [[], [1.0], [0.0, 0.0], [-1.0, -1.0], [1e-30, 1e30], [math.nan]])
def test_any_series_can_be_drawn(tmp_path: Path, values: list[float]) -> None:
    with Run.create(tmp_path, 'name = "x"\n', {}) as run:
        for step, value in enumerate(values):
            run.log("loss", value, "nats/token", step=step, tokens=step, seconds=step)
    Outline(write_report(tmp_path, "en").read_text(encoding="utf-8"))


def test_a_report_is_the_same_when_written_again(tmp_path: Path) -> None:
    small_run(tmp_path)
    first = write_report(tmp_path, "en").read_bytes()
    assert write_report(tmp_path, "en").read_bytes() == first
