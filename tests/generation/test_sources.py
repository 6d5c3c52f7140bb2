"""Encoder–decoders answer a text as `transformers` does, with all that generation_config.json forbids and forces."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from tokenizers import models, normalizers, pre_tokenizers, processors
from typer.testing import CliRunner

import wenlu
from wenlu.cli.app import app
from wenlu.errors import UsageError, WeightsError
from wenlu.generation.constraints import Constraints, constraints_of
from wenlu.generation.source import source_ids
from wenlu.models import family
from wenlu.tasks import new_task, read_settings
from wenlu.tasks.corruption.seq2seq import Seq2SeqObjective
from wenlu.tokenizers import TokenizerConfig, train_tokenizer

LETTERS = "▁abcdefghijklmnopqrstuvwxyz"
SPECIAL = ["<pad>", "</s>", "<unk>", "<s>", "<extra_id_1>", "<extra_id_0>"]
VOCAB = [*SPECIAL[:4], *LETTERS, "▁the", "▁cat", "at", "on"]
TEXTS = ["the cat sat on the mat", "a", "on and on it goes without an end to it"]
SIZES = {
    "t5": {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0},
    "bart": {"d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24},
}
SIZES["mt5"] = SIZES["t5"]
SIZES["bart"] |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 64}
SIZES["marian"] = {**SIZES["bart"]}
SPREAD = {"t5": {"initializer_factor": 8.0}, "mt5": {"initializer_factor": 8.0}}
families = pytest.mark.parametrize("kind", ["t5", "mt5", "bart", "marian"])


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny random model with transformers, and a tokenizer that frames texts as that family's does."""

    def make(kind: str, **generation: Any) -> Path:
        inner = tokenizers.Tokenizer(models.Unigram([(token, -float(i)) for i, token in enumerate(VOCAB)], unk_id=2))
        inner.normalizer = normalizers.NFKC()
        inner.pre_tokenizer = pre_tokenizers.Metaspace()
        inner.decoder = tokenizers.decoders.Metaspace()
        inner.add_special_tokens(SPECIAL)
        frame = "<s> $A </s>" if kind == "bart" else "$A </s>"
        ids = [(token, inner.token_to_id(token)) for token in ("<s>", "</s>")]
        inner.post_processor = processors.TemplateProcessing(single=frame, special_tokens=ids)
        fast = transformers.PreTrainedTokenizerFast(
            tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", bos_token="<s>"
        )
        torch.manual_seed(5)
        tokens = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 3, "vocab_size": len(fast)}
        start = {"decoder_start_token_id": 1 if kind == "bart" else 0}
        spread = SPREAD.get(kind, {"init_std": 0.6})
        config = transformers.AutoConfig.for_model(kind, **SIZES[kind] | tokens | start | spread)
        model = transformers.AutoModelForSeq2SeqLM.from_config(config).eval()
        defaults = {"forced_eos_token_id": None, "decoder_start_token_id": start["decoder_start_token_id"]}
        model.generation_config.update(**{**defaults, **generation})
        path = tmp_path / kind
        model.save_pretrained(path)
        fast.save_pretrained(path)
        return path

    return make


def theirs(path: Path, text: str, **settings: Any) -> str:
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(path).eval()
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(path)
    ids = model.generate(**tokenizer(text, return_tensors="pt", return_token_type_ids=False), **settings)
    answer: str = tokenizer.decode(ids[0], skip_special_tokens=True)
    return answer


def ours(path: Path, text: str, *settings: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["predict", str(path), "--text", text, "--json", *settings])
    assert done.exit_code == 0, done.output
    line: dict[str, Any] = json.loads(done.stdout)
    return line


RULES: list[dict[str, Any]] = [
    {},
    {"bad_words_ids": [[0], [1], [21, 21], [24, 21]]},
    {"forced_bos_token_id": 12, "forced_eos_token_id": 1},
    {"suppress_tokens": [7, 20, 21], "begin_suppress_tokens": [1, 30]},
    {"no_repeat_ngram_size": 2, "min_length": 9},
    {"no_repeat_ngram_size": 1, "min_new_tokens": 14},
    {"forced_bos_token_id": 9, "begin_suppress_tokens": list(range(8, 28)), "bad_words_ids": [[0], [9, 28], [28, 28]]},
]


@families
@pytest.mark.parametrize("rules", RULES, ids=["none", "words", "forced", "suppressed", "unrepeated", "once", "all"])
@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_plain_folder_answers_as_transformers_does(
    kind: str, rules: dict[str, Any], num_beams: int, folder: Callable[..., Path]
) -> None:
    path = folder(kind, **rules)
    for text in TEXTS:
        settings = ("max_new_tokens=15", f"num_beams={num_beams}")
        search = {"num_beams": num_beams, "early_stopping": "never" if num_beams > 1 else False}
        expected = theirs(path, text, max_new_tokens=15, do_sample=False, **search)
        line = ours(path, text, *settings)
        assert line["prediction"].strip() == expected.strip()
        assert line["text"] == line["prediction"]


def test_the_rules_change_answers(folder: Callable[..., Path]) -> None:
    """Otherwise the test above shows nothing."""
    answers = {json.dumps(rules): ours(folder("bart", **rules), TEXTS[0])["prediction"] for rules in RULES}
    assert len(set(answers.values())) == len(RULES)


def test_an_older_folder_says_them_in_its_config(folder: Callable[..., Path]) -> None:
    path = folder("marian")
    free = ours(path, TEXTS[0], "max_new_tokens=6")["prediction"]
    letter = free.strip()[0]
    (path / "generation_config.json").unlink()
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(
        json.dumps({**config, "bad_words_ids": [[VOCAB.index(letter)]], "forced_eos_token_id": 1})
    )
    line = ours(path, TEXTS[0], "max_new_tokens=6")
    assert letter not in line["prediction"]
    assert line["finish"] == "stop"


@families
def test_a_source_is_framed_as_by_the_tokenizer_of_transformers(kind: str, folder: Callable[..., Path]) -> None:
    path = folder(kind)
    bundle = wenlu.load(path)
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(path)
    for text in [*TEXTS, "the <extra_id_0> sat<extra_id_1>", "<extra_id_1> a <extra_id_0><extra_id_0>  b", ""]:
        assert source_ids(bundle, text) == tokenizer(text)["input_ids"]
    assert source_ids(bundle, "a </s> b").count(1) == 1, "the end of text cannot be written"


def test_who_asks_with_gaps_is_answered_with_gaps(folder: Callable[..., Path]) -> None:
    path = folder("t5", forced_bos_token_id=VOCAB.index("▁cat"))
    bundle = wenlu.load(path)
    gap = bundle.tokenizer.special_tokens["<extra_id_0>"]
    said = {**bundle.generation, "forced_bos_token_id": gap}
    (path / "generation_config.json").write_text(json.dumps(said))
    assert ours(path, "a <extra_id_0> b")["prediction"].startswith("<extra_id_0>")
    plain = ours(path, "a b")["prediction"]
    assert "<" not in plain
    assert "</s>" not in ours(path, "a <extra_id_0> b")["prediction"]


def test_on_the_screen_the_answer_stands_alone_and_a_file_has_a_line_a_row(
    folder: Callable[..., Path], tmp_path: Path
) -> None:
    path = folder("t5")
    lines = [ours(path, text, "max_new_tokens=9") for text in TEXTS]
    shown = CliRunner().invoke(app, ["predict", str(path), "--text", TEXTS[0], "max_new_tokens=9"])
    assert shown.stdout == lines[0]["prediction"] + "\n"
    (tmp_path / "in.txt").write_text("\n".join(TEXTS))
    out = tmp_path / "out.jsonl"
    done = CliRunner().invoke(
        app, ["predict", str(path), str(tmp_path / "in.txt"), "max_new_tokens=9", "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["prediction"] for line in written] == [line["prediction"] for line in lines]
    (path / "generation_config.json").write_text(json.dumps({"suppress_tokens": [5]}))
    again = CliRunner().invoke(
        app, ["predict", str(path), str(tmp_path / "in.txt"), "max_new_tokens=9", "--out", str(out)]
    )
    assert again.exit_code != 0, "other rules are another prediction"


def test_where_everything_is_forbidden_a_search_says_so(folder: Callable[..., Path]) -> None:
    path = folder("t5", suppress_tokens=list(range(len(VOCAB) + 2)))
    done = CliRunner().invoke(app, ["predict", str(path), "--text", "a", "num_beams=2", "--json"])
    assert isinstance(done.exception, UsageError)
    assert "leaves no token to choose" in str(done.exception)


def test_chat_names_the_verb_that_works(folder: Callable[..., Path]) -> None:
    path = folder("t5")
    with pytest.raises(UsageError, match=f"T5 does not continue text: .* ask it with: wenlu predict {path} --text"):
        wenlu.chat(path)


def test_what_contradicts_itself_or_is_no_token_is_refused() -> None:
    def read(**said: Any) -> Constraints:
        return constraints_of(said, frozenset({1}), where="g.json")

    assert read(bad_words_ids=[[1], [2], [3, 4]]) == Constraints(never=frozenset({2}), sequences=((3, 4),))
    with pytest.raises(WeightsError, match=r"g.json: bad_words_ids is \[3\], not a list of lists of token ids"):
        read(bad_words_ids=[3])
    with pytest.raises(WeightsError, match=r"suppress_tokens is \[-1\], not the id of a token"):
        read(suppress_tokens=[-1])
    with pytest.raises(WeightsError, match=r"forced_bos_token_id \[3\] is among its suppress_tokens"):
        read(forced_bos_token_id=3, suppress_tokens=[3])
    with pytest.raises(WeightsError, match="min_length is -3, not a number of tokens"):
        read(min_length=-3)
    with pytest.raises(WeightsError, match="names 2 tokens, of which only one can be first"):
        read(forced_bos_token_id=[3, 4])


@pytest.mark.parametrize("name", ["span-corruption", "denoising"])
def test_a_source_is_framed_as_in_training_here(name: str) -> None:
    """The text that was spoilt for training, read back, gives the ids that were trained on."""
    settings = read_settings(name)
    size = len(settings.special_tokens) + 18
    rules = TokenizerConfig(kind="char", vocab_size=size, extra_special_tokens=settings.special_tokens)
    tokenizer = train_tokenizer(rules, TEXTS * 3)
    task = new_task(settings, tokenizer)
    assert isinstance(task, Seq2SeqObjective)
    row = family("t5")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = row.build(row.config(vocab_size=tokenizer.vocab_size, **sizes))
    bundle = wenlu.Bundle(model, tokenizer, task, model.config, Path("x"))
    assert tokenizer.eos_id is not None
    for seed in range(5):
        source, _ = task.noised(np.array(tokenizer.encode(TEXTS[0])), np.random.default_rng(seed))
        text = tokenizer.decode(source.tolist(), skip_special=False)
        assert source_ids(bundle, text) == [*source.tolist(), tokenizer.eos_id]
        assert any(mark in text for mark in settings.special_tokens)
    closed = tokenizer.closing()
    assert closed.frame == ([], [tokenizer.eos_id])
    assert closed.fingerprint == tokenizer.fingerprint
    assert closed.closing() is closed
