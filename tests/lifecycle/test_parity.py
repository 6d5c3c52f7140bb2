"""Two models answer alike, or the report says where they first do not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from typer.testing import CliRunner

import wenlu
from wenlu.cli.app import app
from wenlu.errors import UsageError
from wenlu.lifecycle.model_folder import write_bundle
from wenlu.lifecycle.parity import ParitySettings, compare
from wenlu.lifecycle.parity_side import side_of
from wenlu.lifecycle.parity_texts import TEXTS
from wenlu.models import family
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer

SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TokenizerConfig(vocab_size=320, min_frequency=1), TEXTS * 2)


@pytest.fixture
def write(tokenizer: Tokenizer, tmp_path: Path) -> Callable[..., str]:
    """Writes a tiny model with weights drawn from `seed` to a folder of that name."""

    def make(
        name: str, row: str = "llama", dtype: torch.dtype = torch.float32, shift: float = 0.0, **settings: object
    ) -> str:
        torch.manual_seed(1)
        chosen = family(row)
        given = {**SIZES, "initializer_range": 0.3, "vocab_size": tokenizer.vocab_size, **settings}
        sizes = {name: value for name, value in given.items() if value is not None}
        model = chosen.build(chosen.config(**sizes)).eval()  # type: ignore[arg-type]
        with torch.no_grad():
            words = next(weight for weight in model.parameters() if len(weight) == tokenizer.vocab_size)
            words[tokenizer.encode(TEXTS[0])[4], 0] += shift
        bundle = wenlu.Bundle(model.to(dtype), tokenizer, None, model.config, Path(name))
        (tmp_path / name).mkdir()
        write_bundle(tmp_path / name, bundle, name=name, run=None, language="en")
        return str(tmp_path / name)

    return make


def test_a_model_equals_itself_and_its_bits_are_those_of_its_loss(write: Callable[..., str]) -> None:
    path = write("a")
    found = wenlu.parity(path, path)
    assert found.equal
    assert (found.max_difference, found.mean_kl_nats, found.top1_agreement) == (0.0, 0.0, 1.0)
    assert found.same_continuation
    bundle = wenlu.load(path)
    nats, size = 0.0, 0
    for text in TEXTS:
        ids = torch.tensor([[*bundle.tokenizer.opening, *bundle.tokenizer.encode(text)]])[:, :256]
        with torch.no_grad():
            nats += float(F.cross_entropy(bundle.model(ids)[0, :-1].double(), ids[0, 1:], reduction="sum"))
        size += len(bundle.tokenizer.decode(ids[0, 1:].tolist()).encode())
    assert found.bits_per_byte is not None
    assert found.bits_per_byte[0] == found.bits_per_byte[1] == pytest.approx(nats / math.log(2) / size, rel=1e-6)


def test_the_numbers_are_those_of_a_direct_calculation(write: Callable[..., str]) -> None:
    a, b = write("a"), write("b", shift=4.0)
    found = wenlu.parity(a, b, ["parity.texts=1", "parity.text_tokens=20"])
    one, two = wenlu.load(a), wenlu.load(b)
    ids = torch.tensor([[*one.tokenizer.opening, *one.tokenizer.encode(TEXTS[0])]])[:, :20]
    with torch.no_grad():
        x, y = one.model(ids)[0].double(), two.model(ids)[0].double()
    p, q = x.log_softmax(-1), y.log_softmax(-1)
    assert found.max_difference == pytest.approx(float((x - y).abs().max()), rel=1e-6)
    assert found.mean_kl_nats == pytest.approx(float((p.exp() * (p - q)).sum(-1).mean()), rel=1e-6)
    assert found.top1_agreement == pytest.approx(float((x.argmax(-1) == y.argmax(-1)).double().mean()))
    assert found.failed[0] == "max_difference"
    first = next(i for i in range(20) if float((x[i] - y[i]).abs().max()) > 1e-3)
    assert found.first_difference is not None
    assert (found.first_difference.text, found.first_difference.position) == (0, first)


def test_thresholds_follow_from_the_coarser_type_and_can_be_set(write: Callable[..., str]) -> None:
    exact, half = write("exact"), write("half", dtype=torch.bfloat16)
    found = wenlu.parity(exact, half)
    assert found.thresholds["logits"] == 2.0
    assert found.equal
    assert found.max_difference is not None
    assert found.max_difference > 1e-3
    strict = wenlu.parity(exact, half, ["parity.logits=1e-6", "parity.same_continuation=false"])
    assert strict.failed == ("max_difference",)
    assert wenlu.parity(exact, half, ["parity.dtype=float32"]).failed


def test_another_tokenizer_is_found_at_its_first_token(write: Callable[..., str], tokenizer: Tokenizer) -> None:
    bundle = wenlu.load(write("a"))
    other = replace(bundle, tokenizer=train_tokenizer(TokenizerConfig(vocab_size=300, min_frequency=1), TEXTS[:1]))
    found = compare(side_of(bundle, "a"), side_of(other, "b"), TEXTS[2:4], ParitySettings())
    assert not found.same_ids
    assert found.failed == ("same_ids",)
    first = found.first_difference
    assert first is not None
    ours, theirs = bundle.tokenizer.encode(TEXTS[2]), other.tokenizer.encode(TEXTS[2])
    at = next(i for i, (x, y) in enumerate(zip(ours, theirs, strict=False)) if x != y)
    assert (first.text, first.position) == (0, at + len(bundle.tokenizer.opening))


def test_encoders_are_compared_by_vectors_and_masked_heads_by_logits(write: Callable[..., str]) -> None:
    bare, masked = write("bare", "bert", head="none"), write("masked", "bert", head="masked-lm")
    same = wenlu.parity(bare, bare)
    assert (same.kind, same.equal, same.top1_agreement, same.bits_per_byte) == ("vectors", True, None, None)
    assert same.min_cosine == pytest.approx(1.0)
    apart = wenlu.parity(bare, write("other", "bert", head="none", shift=4.0))
    assert apart.failed == ("max_difference", "min_cosine")
    logits = wenlu.parity(masked, masked)
    assert (logits.kind, logits.equal, logits.top1_agreement, logits.min_cosine) == ("masked", True, 1.0, None)
    with pytest.raises(UsageError, match=r"\(vectors\) and .* \(masked\) answer with different things"):
        wenlu.parity(bare, masked)


def test_a_recurrent_model_is_compared_too(tokenizer: Tokenizer) -> None:
    row = family("gru")
    model = row.build(row.config(vocab_size=tokenizer.vocab_size, hidden_size=12, num_hidden_layers=1)).eval()
    side = side_of(wenlu.Bundle(model, tokenizer, None, model.config, Path("gru")), "gru")
    found = compare(side, side, TEXTS, ParitySettings())
    assert found.equal
    assert found.same_continuation


@pytest.mark.parametrize("row", ["t5", "mt5", "bart", "marian", "transformer", "lstm_encoder_decoder"])
def test_an_encoder_decoder_reads_a_text_as_source_and_as_target(
    row: str, write: Callable[..., str], tokenizer: Tokenizer
) -> None:
    start = {"decoder_start_token_id": tokenizer.eos_id, "eos_token_id": tokenizer.eos_id}
    sizes = {"max_position_embeddings": 128} if row in ("bart", "marian", "transformer") else {}
    foreign = {} if row != "lstm_encoder_decoder" else {"intermediate_size": None, "num_attention_heads": None}
    settings = {**start, **sizes, **foreign, "pad_token_id": tokenizer.pad_id}
    a, b = write("a", row, **settings), write("b", row, shift=4.0, **settings)
    same = wenlu.parity(a, a)
    assert (same.kind, same.equal, same.max_difference, same.same_continuation) == ("seq2seq", True, 0.0, True)
    found = wenlu.parity(a, b, ["parity.texts=1", "parity.text_tokens=20"])
    one, two = wenlu.load(a), wenlu.load(b)
    ids = torch.tensor([one.tokenizer.encode(TEXTS[0])])[:, :20]
    before = torch.cat([torch.tensor([[one.tokenizer.eos_id]]), ids[:, :-1]], dim=1)
    with torch.no_grad():
        x, y = (bundle.model(ids, decoder_input_ids=before)[0].double() for bundle in (one, two))
    p, q = x.log_softmax(-1), y.log_softmax(-1)
    assert found.max_difference == pytest.approx(float((x - y).abs().max()), rel=1e-6)
    assert found.mean_kl_nats == pytest.approx(float((p.exp() * (p - q)).sum(-1).mean()), rel=1e-5)
    bits = float(F.cross_entropy(x, ids[0])) * 20 / math.log(2) / len(one.tokenizer.decode(ids[0].tolist()).encode())
    assert found.bits_per_byte is not None
    assert found.bits_per_byte[0] == pytest.approx(bits, rel=1e-6)
    assert found.failed[0] == "max_difference"
    assert found.first_difference is not None
    causal = write("causal")
    with pytest.raises(UsageError, match=r"\(seq2seq\) and .* \(causal\) answer with different things"):
        wenlu.parity(a, causal)


def test_a_target_with_a_vocabulary_of_its_own_is_refused(write: Callable[..., str], tokenizer: Tokenizer) -> None:
    start = {"decoder_start_token_id": 0, "pad_token_id": 0, "max_position_embeddings": 32}
    path = write("a", "marian", share_encoder_decoder_embeddings=False, decoder_vocab_size=9, **start)
    with pytest.raises(UsageError, match=f"writes 9 tokens and reads {tokenizer.vocab_size}"):
        wenlu.parity(path, path)


def test_the_verb_exits_1_where_models_differ_and_prints_one_object(write: Callable[..., str], tmp_path: Path) -> None:
    a, b = write("a"), write("b", shift=4.0)
    (tmp_path / "texts.txt").write_text("One text.\n", encoding="utf-8")
    same = CliRunner().invoke(app, ["parity", a, a, f"data.test={tmp_path / 'texts.txt'}", "--json"])
    assert same.exit_code == 0
    content = json.loads(same.stdout)
    assert (content["equal"], content["texts"], content["first_difference"]) == (True, 1, None)
    differ = CliRunner().invoke(app, ["parity", a, b, "--json"])
    assert differ.exit_code == 1
    assert json.loads(differ.stdout)["failed"]
    shown = CliRunner().invoke(app, ["parity", a, b])
    assert shown.exit_code == 1
    assert "beyond" in shown.stdout
    assert "first at text 0, token" in shown.stdout
    assert "the two differ" in shown.stdout
