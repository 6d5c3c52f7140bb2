"""What a masked language model fills in: likely tokens, in a text that stays as it was, or a word of refusal."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tasks.tiny import CHINESE, ENGLISH, NewTokenizer, settings, tiny_model

from wenlu.bundle import Bundle
from wenlu.corpus.packing import PackedRow
from wenlu.errors import UsageError
from wenlu.generation.filling import FillingConfig, _joined, fill, fill_rows, fills, predict_filled
from wenlu.generation.rows import BadRow, Row
from wenlu.generation.substitution import substituted
from wenlu.tasks import CausalLM, Draw, new_task
from wenlu.tokenizers import Tokenizer


def taught(tokenizer: Tokenizer, texts: Sequence[str], steps: int = 150) -> Bundle:
    """A tiny model that has read a few texts until it knows them."""
    task = new_task(settings("masked-lm", rate=0.25, whole_words=False), tokenizer)
    model = tiny_model(task.config, tokenizer.vocab_size)
    ends = [tokenizer.opening, [tokenizer.eos_id]]
    rows = [np.array([*ends[0], *tokenizer.encode(text), *ends[1]])[:60] for text in texts]
    width = max(map(len, rows))
    ids = np.full((len(rows), width), tokenizer.eos_id)
    segments = np.full_like(ids, -1)
    for number, row in enumerate(rows):
        ids[number, : len(row)], segments[number, : len(row)] = row, 0
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    for step in range(steps):
        draw = Draw(PackedRow(ids, segments), np.arange(len(rows)) + step * len(rows))
        optimizer.zero_grad()
        loss = task.loss(model, task.batch(draw))
        torch.autograd.backward(loss.sum / loss.count)
        optimizer.step()
    return Bundle(model.eval(), tokenizer, task, model.config, Path("m"))


@pytest.fixture(scope="module")
def bundle(new_tokenizer: NewTokenizer) -> Bundle:
    return taught(new_tokenizer(special=["[MASK]"], vocab_size=320), ENGLISH[::6])


def test_what_was_learnt_is_filled_in_and_the_rest_stays(bundle: Bundle) -> None:
    text = "the cat sat on the [MASK] 0 times, unbelievably [MASK]. then it didn't move."
    found = fill(bundle, text)
    assert found.text == "the cat sat on the mat 0 times, unbelievably quiet. then it didn't move."
    assert found.tokens == ("mat", "quiet")
    assert 0 < found.probability <= 1
    assert [place[0][0] for place in found.candidates] == ["mat", "quiet"]
    for place in found.candidates:
        chances = [chance for _, chance in place]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) <= 1 + 1e-9


def test_probabilities_multiply_as_the_places_are_filled(bundle: Bundle) -> None:
    one = fill(bundle, "the cat sat on the [MASK] 0 times,", candidates=3)
    assert one.probability == pytest.approx(one.candidates[0][0][1])
    assert len(one.candidates[0]) == 3


def test_no_special_token_is_ever_filled_in(bundle: Bundle) -> None:
    found = fill(bundle, "[MASK]" * 12, candidates=400)
    special = set(bundle.tokenizer.special_tokens)
    assert not special & set(found.tokens)
    for place in found.candidates:
        assert sum(chance for token, chance in place if token in special) == 0


def test_chinese_is_filled_in_without_spaces(new_tokenizer: NewTokenizer) -> None:
    tokenizer = new_tokenizer(CHINESE, kind="wordpiece", vocab_size=54, min_frequency=1, special=["[MASK]"])
    found = fill(taught(tokenizer, CHINESE[:4]), "我们昨天住在上海，酒店的服务人员非常热[MASK]。")
    assert found.text == "我们昨天住在上海，酒店的服务人员非常热情。"


@pytest.mark.parametrize(
    ("parts", "spelt", "text"),
    [
        (["the ", " sat"], [" cat"], "the cat sat"),
        (["the", " sat"], [" cat"], "the cat sat"),
        (["", " sat"], [" cat"], "cat sat"),
        (["un", "able"], ["believ"], "unbelievable"),
        (["很", "。"], [" 好"], "很好。"),
    ],
)
def test_spaces_stand_where_people_put_them(parts: list[str], spelt: list[str], text: str) -> None:
    assert _joined(parts, spelt) == text


def test_a_text_without_a_mask_or_too_long_is_refused(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match=r"the text has no \[MASK\], which this model fills in: 'the cat'"):
        fill(bundle, "the cat")
    with pytest.raises(UsageError, match=r"but the model reads at most 128 at once; give less"):
        fill(bundle, "the cat sat [MASK] " * 40)


def test_a_file_is_answered_line_by_line(bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "texts.txt"
    source.write_text("the cat sat on the [MASK] 0 times,\nno mask\n")
    summary = predict_filled(bundle, source, tmp_path / "out.jsonl", FillingConfig())
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert (summary.rows, summary.errors) == (2, 1)
    assert lines[0]["prediction"] == "mat"
    assert lines[0]["text"] == "the cat sat on the mat 0 times,"
    assert lines[1]["error"].startswith("the text has no [MASK]")
    bad = next(fill_rows(bundle, [BadRow("7", "broken")], FillingConfig()))
    assert (bad["id"], bad["error"]) == ("7", "broken")
    assert next(fill_rows(bundle, [Row("1", "a [MASK]")], FillingConfig()))["signature"] == lines[0]["signature"]


def test_only_models_that_were_trained_for_it_fill_in(bundle: Bundle) -> None:
    assert fills(bundle)
    assert not fills(Bundle(bundle.model, bundle.tokenizer, CausalLM(), bundle.config, bundle.path))


def test_other_words_are_put_in_and_all_else_stays_to_the_character(bundle: Bundle) -> None:
    text = "the  cat sat on the mat 3 times, \tunbelievably quiet."
    made = [substituted(bundle, text, random.Random(seed), alpha=0.3, top_k=5) for seed in range(10)]
    again = [substituted(bundle, text, random.Random(seed), alpha=0.3, top_k=5) for seed in range(10)]
    assert made == again
    assert len(set(made)) > 3
    for each in made:
        assert re.sub("[a-z]+", "w", each) == re.sub("[a-z]+", "w", text)
        changed = sum(a != b for a, b in zip(each.split(), text.split(), strict=True))
        assert 1 <= changed <= 3
    assert substituted(bundle, "12, 34!", random.Random(0), alpha=0.3, top_k=5) == "12, 34!"
