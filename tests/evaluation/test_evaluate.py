"""A run's model and its n-gram on the held-out texts: what is scored, how it is resolved, what is refused."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from wenlu.bundle import Bundle, load
from wenlu.corpus.record import Record
from wenlu.corpus.shards import TokenData
from wenlu.errors import ConfigError, DataError, WeightsError
from wenlu.evaluation import EvaluateConfig, System, evaluate_run, evaluate_texts, measure
from wenlu.evaluation.baseline import fit_ngram
from wenlu.models import LanguageModel, gru
from wenlu.tasks import CausalLM, Likelihood, Text
from wenlu.tokenizers import Tokenizer

QUICK = EvaluateConfig(resamples=200, dtype="float32")


def held_out(count: int = 4) -> list[Record]:
    return [
        Record(f"line {i}: the cat sat on the mat.\n" * (i + 1), f"t:{i}", {"cluster": str(i)}) for i in range(count)
    ]


def test_a_run_is_scored_beside_its_ngram(run_directory: Path) -> None:
    found = evaluate_run(load(run_directory), run_directory, QUICK)
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    names = [metric["name"] for metric in content["metrics"]]
    assert names == ["bits_per_byte", "byte_perplexity", "perplexity", "word_perplexity", "ngram_bits_per_byte"]
    for metric in content["metrics"]:
        assert metric["low"] <= metric["value"] <= metric["high"]
        assert metric["n"] == content["documents"] == 4
        assert set(metric) == {"name", "value", "low", "high", "n", "unit", "better", "signature"}
    assert content["split"] == "test"
    assert content["difference"]["verdict"] == "worse"  # the model has random weights
    assert content["difference"]["value"] == pytest.approx(content["bits_per_byte"] - content["ngram_bits_per_byte"])


def test_rows_add_up_to_the_scores(run_directory: Path, tmp_path: Path) -> None:
    found = evaluate_run(load(run_directory), run_directory, QUICK)
    found.save(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "evaluation.jsonl").read_text().splitlines()]
    saved = json.loads((tmp_path / "evaluation.json").read_text())
    assert saved == found.to_json()
    for column, name in (("nll_nats", "bits_per_byte"), ("ngram_nll_nats", "ngram_bits_per_byte")):
        nats, size = (sum(row[key] for row in rows) for key in (column, "bytes"))
        assert saved[name] == pytest.approx(nats / size / math.log(2))
    assert [row["id"] for row in rows] == [f"test.jsonl:{line}" for line in (1, 2, 3, 4)]
    assert saved["tokens"] == sum(row["tokens"] for row in rows)


def test_auto_is_resolved_and_written_down(run_directory: Path) -> None:
    bundle = load(run_directory)
    settings = evaluate_run(bundle, run_directory, EvaluateConfig(resamples=200)).settings
    assert settings["split"] == "test"
    assert settings["context"] in (32, 64)
    assert settings["stride"] == settings["context"] // 2
    assert settings["dtype"] in ("float32", "bfloat16")
    assert settings["ngram_order"] in (3, 4, 5, 6)
    again = evaluate_run(bundle, run_directory, EvaluateConfig(**settings))
    assert again.settings == settings


def test_signatures_tell_the_conventions(run_directory: Path) -> None:
    config = EvaluateConfig(resamples=200, context=32, stride=8, dtype="float32", ngram_order=2)
    bundle = load(run_directory)
    signatures = {score.name: score.signature for score in evaluate_run(bundle, run_directory, config).scores}
    window = "ctx:32|stride:8|dtype:float32"
    assert signatures["bits_per_byte"] == f"bits_per_byte|bytes:utf-8|eos:scored|{window}|v1"
    tok = bundle.tokenizer.fingerprint[:8]
    assert signatures["perplexity"] == f"perplexity|tokens:with-eos|eos:scored|{window}|tok:{tok}|v1"
    tokens = TokenData.open(run_directory / "tokens" / "train")
    targets = tokens.num_tokens - tokens.num_documents
    assert signatures["ngram_bits_per_byte"] == (
        f"bits_per_byte|bytes:utf-8|eos:scored|ngram:kneser-ney-2|train:{targets}-tokens|v1"
    )


def test_without_a_test_split_validation_is_scored_and_nothing_is_tuned_on_it(
    run_directory: Path, tmp_path: Path
) -> None:
    shutil.copytree(run_directory, tmp_path / "run")
    (tmp_path / "run" / "data" / "test.jsonl").unlink()
    found = evaluate_run(load(run_directory), tmp_path / "run", QUICK)
    assert found.facts["split"] == "validation"
    assert found.settings["ngram_order"] == 5
    assert found.settings["context"] == 64


def test_a_run_without_held_out_texts_is_told_what_to_give(run_directory: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no held-out texts, neither test\.jsonl nor validation\.jsonl; give data\.test"
    ):
        evaluate_run(load(run_directory), tmp_path, QUICK)


def test_no_texts_are_refused(run_directory: Path) -> None:
    with pytest.raises(DataError, match=r"split is empty; hold out more texts, or give some with data\.test=FILE"):
        evaluate_texts(load(run_directory), [], QUICK)


def test_a_single_text_has_a_score_but_no_interval(run_directory: Path) -> None:
    found = evaluate_texts(load(run_directory), held_out(1), QUICK)
    assert found.difference is None
    assert [(score.low, score.high) for score in found.scores] == [(None, None)] * 4
    assert found.to_json()["ngram_bits_per_byte"] is None


def test_a_text_of_spaces_has_no_words_but_bits(run_directory: Path) -> None:
    found = evaluate_texts(load(run_directory), [*held_out(2), Record(" \n", "t:blank")], QUICK)
    assert found.value("bits_per_byte") is not None
    assert found.facts["documents"] == 3


def test_near_duplicates_share_a_cluster_and_texts_without_one_stand_alone(run_directory: Path) -> None:
    twins = [replace(record, meta={"cluster": "same"}) for record in held_out(3)]
    alone = [replace(record, meta={}) for record in held_out(3)]
    assert evaluate_texts(load(run_directory), twins, QUICK).facts["clusters"] == 1
    assert evaluate_texts(load(run_directory), alone, QUICK).facts["clusters"] == 3


def test_damaged_weights_are_named(run_directory: Path) -> None:
    bundle = load(run_directory)
    with torch.no_grad():
        bundle.model.get_parameter("norm.weight").fill_(math.nan)
    with pytest.raises(WeightsError, match="t:0: token 0 has the likelihood nan; are the weights damaged"):
        evaluate_texts(bundle, held_out(), QUICK)


def test_a_context_beyond_the_model_is_refused(run_directory: Path) -> None:
    config = QUICK.model_copy(update={"context": 65})
    with pytest.raises(ConfigError, match=r"evaluate\.context=65: the model reads at most 64 tokens at once"):
        evaluate_texts(load(run_directory), held_out(), config)


def test_a_stride_beyond_a_context_is_refused(run_directory: Path) -> None:
    with pytest.raises(ValidationError, match="stride 9 is greater than context 8 and would skip tokens"):
        EvaluateConfig(context=8, stride=9)
    config = QUICK.model_copy(update={"stride": 40})
    with pytest.raises(ConfigError, match=r"evaluate\.stride=40 would skip tokens: a context of 32 can be chosen"):
        evaluate_texts(load(run_directory), held_out(), config)


def test_a_recurrent_model_reads_whole_documents(run_directory: Path, tiny_gru: LanguageModel) -> None:
    bundle = load(run_directory)
    config = tiny_gru.config.model_copy(update={"vocab_size": bundle.tokenizer.vocab_size})
    found = evaluate_texts(replace(bundle, model=gru.FAMILY.build(config)), held_out(), EvaluateConfig(resamples=200))
    assert found.scores[0].signature == "bits_per_byte|bytes:utf-8|eos:scored|ctx:document|dtype:float32|v1"


def test_number_formats_agree_and_the_model_keeps_its_own(run_directory: Path) -> None:
    bundle = load(run_directory)
    bits = {}
    for dtype in ("float64", "float32", "bfloat16"):
        config = QUICK.model_copy(update={"dtype": dtype, "context": 64})
        bits[dtype] = evaluate_texts(bundle, held_out(), config).value("bits_per_byte")
    assert bits["float32"] == pytest.approx(bits["float64"], rel=1e-5)
    assert bits["bfloat16"] == pytest.approx(bits["float64"], rel=5e-3)
    assert next(bundle.model.parameters()).dtype == torch.float32


class Certain:
    """Gives every text probability 1."""

    def answer(self, examples: Sequence[Text]) -> list[Likelihood]:
        return [Likelihood(0.0, 1) for _ in examples]


class Hopeless:
    """Gives every text probability 0."""

    def answer(self, examples: Sequence[Text]) -> list[Likelihood]:
        return [Likelihood(math.inf, 1) for _ in examples]


def test_any_predictor_can_be_measured() -> None:
    found = measure(CausalLM(), held_out(), System(Certain(), {}), System(Hopeless(), {}), QUICK)
    assert found.value("bits_per_byte") == 0
    assert found.value("perplexity") == 1
    assert found.difference is not None
    assert found.difference.verdict == "better"
    assert found.to_json()["ngram_bits_per_byte"] is None  # JSON has no infinity
    json.dumps(found.to_json(), allow_nan=False)


def test_the_ngram_of_another_tokenizer_is_refused(run_directory: Path, other_tokenizer: Tokenizer) -> None:
    data = TokenData.open(run_directory / "tokens" / "train")
    with pytest.raises(
        DataError, match=r"encoded by another tokenizer .* run the recipe again, or set evaluate\.baseline"
    ):
        fit_ngram(data, other_tokenizer, order=3, max_tokens=10**6, tuning=(), seed=0)


def test_the_ngram_is_fitted_to_at_most_so_many_tokens(run_directory: Path) -> None:
    bundle, data = load(run_directory), TokenData.open(run_directory / "tokens" / "train")
    lengths = np.diff(data.document_starts)
    limit = int(lengths.sum() // 2)
    few, again, other = (
        fit_ngram(data, bundle.tokenizer, order=3, max_tokens=limit, tuning=(), seed=seed) for seed in (0, 0, 1)
    )
    everything = fit_ngram(data, bundle.tokenizer, order=3, max_tokens=10**9, tuning=(), seed=0)
    assert limit - lengths.max() <= few.counts.num_tokens <= limit
    assert np.array_equal(few.counts.unigrams, again.counts.unigrams)
    assert not np.array_equal(few.counts.unigrams, other.counts.unigrams)
    assert everything.counts.num_tokens == data.num_tokens - data.num_documents


def test_the_order_is_the_best_on_the_validation_texts(run_directory: Path) -> None:
    bundle, data = load(run_directory), TokenData.open(run_directory / "tokens" / "train")
    tuning = bundle.tokenizer.encode_batch([record.text for record in held_out(3)])
    costs = {}
    for order in (3, 4, 5, 6):
        model = fit_ngram(data, bundle.tokenizer, order=order, max_tokens=10**9, tuning=(), seed=0)
        costs[order] = sum(cost.sum() for cost in model.negative_log_likelihoods(tuning))
    chosen = fit_ngram(data, bundle.tokenizer, order=None, max_tokens=10**9, tuning=tuning, seed=0)
    assert chosen.order == min(costs, key=costs.__getitem__)


def test_the_context_is_the_one_that_costs_less_on_the_validation_texts(run_directory: Path) -> None:
    bundle: Bundle = load(run_directory)
    tuning = held_out(6)

    def bits(context: int) -> float:
        value = evaluate_texts(bundle, tuning, QUICK.model_copy(update={"context": context})).value("perplexity")
        assert value is not None
        return value

    chosen = evaluate_texts(bundle, held_out(), QUICK, tuning=tuning).settings["context"]
    assert chosen == min((64, 32), key=bits)
