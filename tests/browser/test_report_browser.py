"""The report in a real browser: telephone and desk, light and dark, on paper, and against hostile text."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from playwright.sync_api import Browser, Page
from safetensors.torch import save_file

from wenlu.lifecycle.report import write_report
from wenlu.rundir import Run, provenance

pytestmark = pytest.mark.browser

HOSTILE = (
    "</pre></style><script>document.title='owned'</script><img src=http://127.0.0.1:9/x onerror=alert(1)>\x00\u202e"
)
SETTINGS = """
name = "{name}"
seed = 7
language = "en"
[data]
train = ["stdlib", "https://example.org/a/very/long/path/without/any/place/to/break/it/corpus-2026-01-01.jsonl.zst"]
steps = ["repair", {{ step = "near-dedup", threshold = 0.8 }}]
[tokenizer]
kind = "bpe"
vocab_size = 4096
[model]
family = "llama"
hidden_size = 320
num_hidden_layers = 3
[train]
duration = "1400 steps"
context = 256
[optimizer]
name = "muon"
lr = 0.003
"""


def split(records: int) -> dict[str, Any]:
    lengths = {"5%": 400, "median": 9_000, "max": 250_000}
    counts = {"characters": 16_000 * records, "bytes": 16_100 * records, "clusters": records}
    known = {"languages": {"en": records - 2, "zh": 2}, "sources": {"stdlib": records - 2, "poems": 2}}
    return {"records": records, **counts, **known, "length_quantiles": lengths, "length_histogram": [[16384, records]]}


def shared(held_out: str, other: str) -> dict[str, Any]:
    counts = {"records": 20, "exact": 0, "near_duplicates": 0, "ngrams": 0.0123, "sampled": 1.0}
    return {"held_out": held_out, "other": other, **counts}


STATISTICS = {
    "seed": 7,
    "settings": {},
    "read": 706,
    "kept": 610,
    "splits": {"train": split(570), "validation": split(20), "test": split(20)},
    "dropped": [
        {"step": "near_dedup", "reason": "near-duplicate of an earlier record", "records": 82},
        {"step": "length", "reason": "too short", "records": 11},
        {"step": "language", "reason": "not a language to keep", "records": 3},
    ],
    "examples": [],
    "duplicates": {"threshold": 0.5, "exact": 0, "clusters": 4, "records": 9, "largest": 3},
    "overlap": [shared("validation", "train"), shared("test", "train"), shared("test", "validation")],
    "files": {},
    "notes": ["2 records without a language were kept"],
}
EVALUATION = {
    "bits_per_byte": 1.2931,
    "ngram_bits_per_byte": 1.4327,
    "difference": {"value": -0.1396, "low": -0.151, "high": -0.128, "verdict": "better"},
    "metrics": [
        {
            "name": name,
            "value": value,
            "low": value * 0.985,
            "high": value * 1.014,
            "n": 40,
            "unit": unit,
            "better": "lower",
            "signature": "each target once|stride 128|context 256|eos counted|bootstrap 2000 clusters seed 0",
        }
        for name, value, unit in (
            ("bits_per_byte", 1.2931, "bits/byte"),
            ("ngram_bits_per_byte", 1.4327, "bits/byte"),
            ("perplexity", 27.61, "per token"),
            ("word_perplexity", 912.4, "per word"),
        )
    ],
}
ARCHITECTURES = [
    {"family": name, "parameters": 4_900_000, "seconds": 120.0, "tokens": tokens, "tokens_per_second": tokens // 120}
    | {"bits_per_byte": bits, "low": bits - 0.02, "high": bits + 0.02}
    for name, tokens, bits in (
        ("llama", 1_700_000, 1.402),
        ("lstm", 1_200_000, 1.62),
        ("gru", 1_300_000, 1.66),
        ("rnn", 1_900_000, 1.91),
    )
]
SAMPLES = [
    {
        "prompt": "def median(values):",
        "text": '\n    """Return the median."""\n    ordered = sorted(values)\n    return ordered[len(ordered) // 2]',
        "settings": {"temperature": 0.8, "top_p": 0.95, "seed": 0},
    },
    {"prompt": "白日依山尽，", "text": "黄河入海流。" * 12, "settings": {"temperature": 0.8, "top_p": 0.95, "seed": 0}},
    {"prompt": "x" * 300, "text": HOSTILE, "settings": {"temperature": 0.8, "top_p": 0.95, "seed": 0}},
]


def write_run(folder: Path, name: str = "quickstart") -> Path:
    """A run of 1,400 steps as the stages leave it, with hostile text in its samples."""
    origin = provenance(["wenlu", "run", "recipes/quickstart.toml", "hub.token=abc"], {"run": 7}, {"stdlib": "a1" * 32})
    with Run.create(folder, SETTINGS.format(name=name), origin) as run:
        for step in range(1, 1401):
            at = {"step": step, "tokens": 4096 * step, "seconds": 0.15 * step}
            noise = math.sin(step * 12.9898) * 0.12
            run.log("loss", 2.4 + 6 * math.exp(-step / 60) + noise + 40 / (step + 60), "nats/token", **at)
            run.log("learning_rate", min(1, step / 20) * min(1, (1400 - step) / 840), "of peak", **at)
            run.log("speed", 27_000 + 3_000 * math.sin(step / 9), "tokens/s", **at)
            if step % 140 == 0:
                run.log("validation", 1.29 + 0.9 * math.exp(-step / 300), "bits/byte", **at)
        run.finish(step=1400, tokens=4096 * 1400, seconds=210.0)
    contents: dict[str, Any] = {
        "data/statistics.json": STATISTICS,
        "evaluation.json": EVALUATION,
        "architectures.json": ARCHITECTURES,
        "samples.json": SAMPLES,
    }
    (folder / "model").mkdir()
    save_file({"embed_tokens.weight": torch.zeros(4096, 320)}, folder / "model" / "model.safetensors")
    for path, content in contents.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "quickstart")


def opened(browser: Browser, report: Path, width: int, scheme: Literal["light", "dark"]) -> tuple[Page, list[str]]:
    """The report in a window of that width, and what it complained of or asked for beside itself."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, locale="en-US")
    page = context.new_page()
    noted: list[str] = []
    page.on("console", lambda message: noted.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: noted.append(f"error: {error}"))
    page.on("request", lambda request: noted.append(request.url) if request.url != report.as_uri() else None)
    page.on("dialog", lambda dialog: noted.append(f"dialog: {dialog.message}"))
    page.goto(report.as_uri())
    return page, noted


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1440])
def test_the_report_fits_its_window_and_asks_for_nothing(
    browser: Browser, run_folder: Path, width: int, scheme: Literal["light", "dark"], language: Literal["en", "zh"]
) -> None:
    page, noted = opened(browser, write_report(run_folder, language), width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert noted == []
    assert "quickstart" in page.title()
    page.screenshot(path=run_folder.parent / f"{language}-{scheme}-{width}.png", full_page=True)
    page.context.close()


CONTRAST = """
() => {
  const channel = v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 };
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const c = rgb(getComputedStyle(node).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const worst = { ratio: 99, text: '' };
  for (const node of document.querySelectorAll('body *')) {
    if (![...node.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    const style = getComputedStyle(node);
    const ink = rgb(node.namespaceURI.endsWith('svg') ? style.fill : style.color);
    const [a, b] = [light(ink), light(behind(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < worst.ratio) { worst.ratio = ratio; worst.text = node.textContent.slice(0, 40); }
  }
  return worst;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_the_contrast_that_wcag_asks_for(
    browser: Browser, run_folder: Path, scheme: Literal["light", "dark"]
) -> None:
    page, _ = opened(browser, write_report(run_folder, "en"), 1440, scheme)
    worst = page.evaluate(CONTRAST)
    assert worst["ratio"] >= 4.5, worst
    page.context.close()


def test_light_and_dark_have_different_paper(browser: Browser, run_folder: Path) -> None:
    report = write_report(run_folder, "en")
    papers = set()
    for scheme in ("light", "dark"):
        page, _ = opened(browser, report, 800, scheme)  # type: ignore[arg-type]
        papers.add(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
        page.context.close()
    assert len(papers) == 2


def test_the_text_of_charts_is_legible_on_a_telephone(browser: Browser, run_folder: Path) -> None:
    page, _ = opened(browser, write_report(run_folder, "en"), 375, "light")
    heights = page.eval_on_selector_all("svg text", "nodes => nodes.map(node => node.getBoundingClientRect().height)")
    assert len(heights) > 20
    assert min(heights) >= 9
    page.context.close()


def test_hostile_text_stays_text(browser: Browser, tmp_path: Path) -> None:
    hostile = HOSTILE.replace("\x00", "").replace("\u202e", "")
    folder = write_run(tmp_path / "run", name=hostile)
    (folder / "evaluation.json").write_text(json.dumps({"metrics": [{"name": hostile, "signature": hostile}]}))
    (folder / "data" / "statistics.json").write_text(json.dumps({**STATISTICS, "notes": [hostile]}))
    page, noted = opened(browser, write_report(folder, "en"), 1440, "light")
    assert noted == []
    assert page.locator("script, img, iframe").count() == 0
    assert page.title().startswith("</pre>")
    assert hostile in page.locator(".samples").inner_text()
    page.context.close()


def test_the_report_prints(browser: Browser, run_folder: Path, tmp_path: Path) -> None:
    page, noted = opened(browser, write_report(run_folder, "zh"), 1440, "dark")
    printed = page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert printed.startswith(b"%PDF")
    assert 1 <= printed.count(b"/Type /Page\n") <= 12
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert noted == []
    page.context.close()


def test_the_page_can_be_read_in_order_without_style(browser: Browser, run_folder: Path) -> None:
    page, _ = opened(browser, write_report(run_folder, "en"), 1440, "light")
    assert page.locator("h1").count() == 1
    targets = page.eval_on_selector_all("nav a", "links => links.map(link => link.getAttribute('href'))")
    assert targets == [f"#{name}" for name in page.eval_on_selector_all("section", "all => all.map(one => one.id)")]
    assert page.locator("svg:not([aria-label])").count() == 0
    page.context.close()
