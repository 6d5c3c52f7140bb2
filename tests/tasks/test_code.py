"""Writing functions and filling gaps: rows as the paper orders them, answers that end where the function does."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.tiny import SIZES, NewTokenizer

from wenlu.bundle import Bundle
from wenlu.corpus.fill_in_the_middle import Marks, Parts
from wenlu.corpus.record import Record
from wenlu.corpus.source import SourceSpec
from wenlu.corpus.sources import open_source
from wenlu.errors import ConfigError, DataError
from wenlu.generation import SamplingConfig
from wenlu.generation.answering import answers_to
from wenlu.models import LanguageModel, family
from wenlu.tasks import IGNORED, Code, Draw, new_task, read_settings
from wenlu.tasks.coding.ends import function_in, parses
from wenlu.tasks.coding.gaps import SENTINELS, around, taken_out
from wenlu.tasks.coding.settings import CodeConfig, CodeExample
from wenlu.tasks.labelled import WrittenText
from wenlu.tokenizers import Tokenizer

CONTEXT = 200
EXAMPLES = [
    CodeExample('def cat(n):\n    """The cat."""\n', "    return n", "a:1"),
    CodeExample('def dog(n):\n    """The dog."""\n', "    n += 1\n    return n", "a:2"),
    CodeExample("def mat():\n", "    pass", "a:3"),
]


@pytest.fixture
def tokenizer(new_tokenizer: NewTokenizer) -> Tokenizer:
    return new_tokenizer(special=SENTINELS[0])


def settings(**given: Any) -> CodeConfig:
    config = read_settings({"name": "code", **given})
    assert isinstance(config, CodeConfig)
    return config.made_for(family("llama"), CONTEXT)


def task_for(tokenizer: Tokenizer, **given: Any) -> Code:
    task = new_task(settings(**given), tokenizer)
    assert isinstance(task, Code)
    return task


def tiny(tokenizer: Tokenizer) -> LanguageModel:
    torch.manual_seed(0)
    chosen = family("llama")
    known = {key: value for key, value in SIZES.items() if key in chosen.config.model_fields}
    known |= {"max_position_embeddings": CONTEXT, "initializer_range": 0.3}
    return chosen.build(chosen.config(vocab_size=tokenizer.vocab_size, **known), dtype=torch.float64).eval()


def record(prompt: str, **meta: str) -> Record:
    return Record(prompt, "a:7", meta)


def test_a_gap_is_told_in_the_orders_of_the_paper(tokenizer: Tokenizer) -> None:
    """`Parts.arrange` writes them as text."""
    task = task_for(tokenizer)
    parts = Parts("def cat(n):\n", "    return", " n\n")
    for order, first in (("psm", False), ("spm", True)):
        gap = CodeExample(parts.prefix, parts.middle, "a", parts.suffix, suffix_first=first)
        source = task.rows([gap], CONTEXT)
        assert source.targets is not None
        ids = [*source.inputs[0].tolist(), *source.targets[0].tolist()]
        text = parts.arrange(order, Marks())  # type: ignore[arg-type]
        assert ids[0] == ids[-1] == tokenizer.eos_id
        assert tokenizer.decode(ids[1:-1], skip_special=False) == text
        assert source.targets[0].tolist() == [*tokenizer.encode(parts.middle), tokenizer.eos_id]


def test_the_loss_is_the_nats_of_bodies_and_of_what_was_taken_out(tokenizer: Tokenizer) -> None:
    task, model = task_for(tokenizer), tiny(tokenizer)
    asked = [*EXAMPLES, *task.gaps(EXAMPLES)]
    batch = task.batch(Draw.at(task.rows(EXAMPLES, CONTEXT), np.arange(len(asked))))
    loss = task.loss(model, batch)
    nats, count = 0.0, 0
    for example, prompt in zip(asked, task.prompts(asked, CONTEXT), strict=True):
        assert example.target is not None
        target = [*tokenizer.encode(example.target), tokenizer.eos_id]
        with torch.no_grad():
            logp = model(torch.tensor([[*prompt, *target[:-1]]]))[0, len(prompt) - 1 :].log_softmax(-1)
        nats -= sum(float(logp[place, token]) for place, token in enumerate(target))
        count += len(target)
    assert loss.count == count == int((batch.targets != IGNORED).sum())
    assert loss.sum.item() == pytest.approx(nats, rel=1e-9)


def test_gaps_that_are_learnt_by_heart_are_filled_in_both_orders(tokenizer: Tokenizer) -> None:
    task = task_for(tokenizer)
    model = tiny(tokenizer).float().train()
    gaps = [
        CodeExample(prefix, middle, prefix, suffix, suffix_first=first)
        for prefix, middle, suffix in [("def cat(", "n", "): pass\n"), ("the ", "  = 2\n", "return"), ("", "a\n", "b")]
        for first in (False, True)
    ]
    batch = task.batch(Draw.at(task.rows(gaps, CONTEXT), np.arange(6)))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = task.loss(model, batch)
        torch.autograd.backward(loss.sum / loss.count)
        optimizer.step()
    bundle = Bundle(model.eval(), tokenizer, task, model.config, Path("tiny"))
    answers = answers_to(bundle, gaps, CONTEXT, SamplingConfig(max_new_tokens=20))
    assert [answer.text for answer in answers] == [gap.target for gap in gaps]


@pytest.mark.parametrize(("share", "gaps"), [(0.0, 0), (0.5, 300), (0.75, 900)])
def test_gaps_are_the_chosen_share_of_the_rows(share: float, gaps: int, tokenizer: Tokenizer) -> None:
    task = task_for(tokenizer, fill_in_the_middle=share)
    examples = [CodeExample("def f():\n", "    pass", str(number)) for number in range(300)]
    assert len(task.gaps(examples)) == gaps


def test_a_small_share_is_drawn_by_the_examples_ids(tokenizer: Tokenizer) -> None:
    task = task_for(tokenizer, fill_in_the_middle=0.2)  # a quarter as many gaps as functions
    examples = [CodeExample("def f():\n", "    pass", str(number)) for number in range(2000)]
    assert len(task.gaps(examples)) == pytest.approx(500, abs=5 * math.sqrt(2000 / 4 * 3 / 4))
    assert task.gaps(examples[::-1]) == task.gaps(examples)[::-1]


def test_what_is_taken_out_fits_where_it_was() -> None:
    found = [each for number in range(200) for each in taken_out("喵 = 1\n", str(number), 1.5)]
    assert all(parts.prefix + parts.middle + parts.suffix == "喵 = 1\n" and parts.middle for parts, _ in found)
    assert {first for _, first in found} == {True, False}
    assert 250 < len(found) < 350


def test_gaps_without_an_answer_are_asked_and_not_learnt(tokenizer: Tokenizer) -> None:
    task = task_for(tokenizer)
    gap = CodeExample("a = ", None, "x", "\n")
    assert task.gaps([gap, CodeExample("def f():\n", None, "y")]) == []
    (prompt,) = task.prompts([gap], CONTEXT)
    assert tokenizer.decode(prompt[1:], skip_special=False) == Parts("a = ", "", "\n").arrange("psm", Marks())


@pytest.mark.parametrize(
    ("prefix", "suffix", "room", "kept"),
    [
        ("abc", "de", 5, ("abc", "de")),
        ("abcdef", "xy", 5, ("def", "xy")),
        ("ab", "uvwxyz", 5, ("ab", "uvw")),
        ("abcdef", "uvwxyz", 4, ("ef", "uv")),
        ("abc", "", 2, ("bc", "")),
        ("", "uvw", 2, ("", "uv")),
    ],
)
def test_what_stands_nearest_to_the_gap_is_read(prefix: str, suffix: str, room: int, kept: tuple[str, str]) -> None:
    assert tuple("".join(part) for part in around([*prefix], [*suffix], room)) == kept


def test_rows_of_gaps_fit_into_the_context_and_what_is_cut_is_told(tokenizer: Tokenizer) -> None:
    long = CodeExample("def f():\n", "    " + "x += 1\n    " * 60 + "return x", "long")
    source = task_for(tokenizer).rows([long] * 3, CONTEXT)
    assert source.targets is not None
    assert (source.inputs.sizes + source.targets.sizes).max() <= CONTEXT
    assert any("longer than task.max_target_tokens" in note for note in source.notes)


@pytest.mark.parametrize(
    ("prompt", "completion", "source", "target"),
    [
        ('def f():\n    """Doc."""\n', "    return 1\n", 'def f():\n    """Doc."""\n', "    return 1"),
        ('def f():\n    """Doc."""', "\n\n    return 1\n\n", 'def f():\n    """Doc."""\n', "    return 1"),
        ("def f():\n    ", "return 1", "def f():\n", "    return 1"),
        ("Add two numbers.", "def add(a, b): ...", "Add two numbers.\n", "def add(a, b): ..."),
    ],
)
def test_the_seam_lies_behind_a_line_break(prompt: str, completion: str, source: str, target: str) -> None:
    example = Code.example_of(record(prompt, completion=completion), settings())
    assert example == CodeExample(source, target, "a:7")


def test_a_gap_is_marked_or_has_a_suffix() -> None:
    marked = Code.example_of(record("x = <fill>\n"), settings())
    assert marked == Code.example_of(record("x = ", suffix="\n"), settings()) == CodeExample("x = ", None, "a:7", "\n")
    source = Code.example_of(record("print('<fill>')", completion="pass"), settings())
    assert source.suffix is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (record(" \n"), "a:7: an empty 'prompt', which prompt is read from"),
        (record("def f():", completion=" "), "a:7: an empty 'completion', which completion is read from"),
        (record("<fill> <fill>"), "a:7: has <fill> 2 times; one gap can be filled at a time"),
    ],
)
def test_a_bad_record_is_named(given: Record, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Code.example_of(given, settings())


def test_a_model_without_gaps_says_so(new_tokenizer: NewTokenizer) -> None:
    task = task_for(new_tokenizer(), fill_in_the_middle=0)
    assert task.config.special_tokens == ()
    with pytest.raises(DataError, match=r"a:7: the model has not learnt to fill gaps \(task.fill_in_the_middle = 0\)"):
        Code.example_of(record("x = <fill>"), task.config)


def test_sentinels_are_named_or_found_or_asked_for(new_tokenizer: NewTokenizer) -> None:
    gap = CodeExample("a", "b", "x", "c")
    mine = ("<a>", "<b>", "<c>")
    for special, named in ((SENTINELS[1], "auto"), (mine, mine)):
        tokenizer = new_tokenizer(special=special)
        (prompt,) = task_for(tokenizer, sentinels=named).prompts([gap], CONTEXT)
        assert [tokenizer.token(prompt[place]) for place in (1, 3, 5)] == list(special)
    with pytest.raises(ConfigError, match=r"no special token <\|fim_prefix\|>.*task.fill_in_the_middle = 0"):
        task_for(new_tokenizer())
    with pytest.raises(ConfigError, match="no special token <b>"):
        task_for(new_tokenizer(special=("<a>", "<c>")), sentinels=mine)


def test_a_base_gets_only_the_sentinels_that_it_lacks(new_tokenizer: NewTokenizer) -> None:
    assert settings().tokens_to_add({*SENTINELS[1], "<s>"}) == ()
    assert settings().tokens_to_add({"<s>"}) == SENTINELS[0]
    assert settings(fill_in_the_middle=0).tokens_to_add({"<s>"}) == ()
    assert settings(sentinels=("<a>", "<s>", "<c>")).tokens_to_add({"<s>"}) == ("<a>", "<c>")
    before = new_tokenizer()
    after = before.with_special(SENTINELS[0])
    assert [after.special_tokens[token] for token in SENTINELS[0]] == [before.vocab_size + n for n in range(3)]
    assert after.encode("the cat <|fim_prefix|>") == before.encode("the cat <|fim_prefix|>")
    assert after.with_special(SENTINELS[0]) is after


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("    return n\n\n\ndef other():\n    pass\n", "    return n"),
        ("    return n\nprint(cat(1))", "    return n"),
        ("    s = '''\n# none\n'''\n    return s\nprint(s)\n", "    s = '''\n# none\n'''\n    return s"),
        ("    return n  \n", "    return n"),
    ],
)
def test_an_answer_ends_where_the_function_does(written: str, kept: str, tokenizer: Tokenizer) -> None:
    task = task_for(tokenizer)
    assert task.answered(EXAMPLES[0], written, [5, 6], -1.0) == WrittenText(kept, -1.0, 2)
    gap = CodeExample("def f():\n", None, "x", "\n")
    assert task.answered(gap, written, [5], None).text == written


def test_what_is_to_be_written_reads_back_as_the_body(tokenizer: Tokenizer) -> None:
    task = task_for(tokenizer)
    source = task.rows(EXAMPLES, CONTEXT)
    assert source.targets is not None
    written = [task.written(source.targets[row].tolist()) for row in range(3)]
    assert [answer.text for answer in written] == [example.target for example in EXAMPLES]
    values = {metric.name: metric.compute(task.judged(EXAMPLES, written)) for metric in task.measures()}
    assert values == {"edit_similarity": 1.0, "accuracy": 1.0, "parses": 1.0}


def test_answers_are_judged_by_edits_by_equality_and_by_the_parser(tokenizer: Tokenizer) -> None:
    task = task_for(tokenizer)
    answers = [WrittenText("    return m"), WrittenText("    n += 1\n    return n"), WrittenText("pass (")]
    values = {metric.name: metric.compute(task.judged(EXAMPLES, answers)) for metric in task.measures()}
    edits = [1 - 1 / 12, 1.0, 1 - 6 / 8]  # of "    pass": four blanks are gone, " (" has come
    assert values == {
        "edit_similarity": pytest.approx(sum(edits) / 3),
        "accuracy": pytest.approx(1 / 3),
        "parses": pytest.approx(2 / 3),
    }


def test_a_gap_parses_with_what_stands_around_it(tokenizer: Tokenizer) -> None:
    gap = CodeExample("def f(", "n", "x", "):\n    return 1\n")
    columns = task_for(tokenizer).judged([gap, gap], [WrittenText("n"), WrittenText("1")])
    assert columns["parses"].tolist() == [1, 0]


def test_a_prompt_in_words_is_answered_by_code_of_its_own(tokenizer: Tokenizer) -> None:
    words = CodeExample("Add two numbers, please.\n", "def add(a, b): return a + b", "x")
    columns = task_for(tokenizer).judged([words, words], [WrittenText("x = 1"), WrittenText("x = = 1")])
    assert columns["parses"].tolist() == [1, 0]


def test_the_function_is_the_last_one_at_the_margin() -> None:
    assert function_in("def a():\n    pass\n\nasync def b(x):\n    def c(): pass\n") == "b"
    assert function_in("Write a function.") is None
    assert parses("    indented = 1\n")
    assert not parses("x = = 1")


def test_python_is_read_function_by_function_and_tables_by_columns(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("x = 1\n")
    paths = ["stdlib", "a.py", str(tmp_path / "code"), str(tmp_path), "rows.jsonl"]
    told = settings().told(tuple(SourceSpec(path=path) for path in paths))
    assert [spec.kind for spec in told] == ["python-functions"] * 4 + ["auto"]
    assert {(spec.text, spec.meta) for spec in told} == {("prompt", ("completion",))}


def test_human_eval_is_read_with_its_tests(tmp_path: Path) -> None:
    row = {"task_id": "0", "prompt": "def f():\n", "test": "t", "entry_point": "f", "canonical_solution": "  p"}
    (tmp_path / "problems.jsonl").write_text(json.dumps(row) + "\n")
    config = settings(columns={"prompt": "question", "completion": "answer"})
    (spec,) = config.told((SourceSpec(path=str(tmp_path / "problems.jsonl"), kind="human-eval"),))
    (found,) = open_source(spec)
    assert isinstance(found, Record)
    example = Code.example_of(found, config)
    assert example == CodeExample("def f():\n", "  p", "problems.jsonl:1", unit_tests="t", entry_point="f")


def test_only_families_that_continue_text_write_code() -> None:
    assert settings().accepts(family("llama"))
    assert settings().accepts(family("lstm"))
    assert not settings().accepts(family("t5"))
    assert not settings().accepts(family("bert"))
