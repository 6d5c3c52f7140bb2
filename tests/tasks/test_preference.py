"""Preferences: the losses are those of their papers and of TRL, and count the answers alone."""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.test_dialogue import tiny
from tests.tasks.tiny import NewTokenizer
from torch import Tensor

from wenlu.corpus.record import Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError
from wenlu.models import family
from wenlu.tasks import Draw, Preference, new_task, read_settings
from wenlu.tasks.preferences.example import Preferred
from wenlu.tasks.preferences.losses import Said, pair_losses
from wenlu.tokenizers import ROLE_TOKENS, Tokenizer

PROOF = os.environ.get("WENLU_PROOF") == "1"
CASES = 1000
needs_trl = pytest.mark.skipif(not PROOF, reason="importing TRL takes ten seconds; the hand values below do not")
CONTEXT = 64
PAIRS = [
    ("where did the cat sit?", "on the mat", "it didn't, then it did sleep"),
    ("did the cat sleep?", "it did.", "the log"),
    ("猫呢？", "在睡觉。", "没有动。"),
]


@pytest.fixture
def tokenizer(new_tokenizer: NewTokenizer) -> Tokenizer:
    return new_tokenizer(special=ROLE_TOKENS)


def task_for(tokenizer: Tokenizer, **settings: Any) -> Preference:
    config = read_settings({"name": "preference", **settings})
    task = new_task(config.made_for(family("llama"), CONTEXT), tokenizer)  # type: ignore[attr-defined]
    assert isinstance(task, Preference)
    return task


def examples_of(task: Preference, pairs: Any = PAIRS) -> list[Preferred]:
    return [
        task.example_of(Record("", f"a:{number}", {"prompt": p, "chosen": c, "rejected": r}), task.config)
        for number, (p, c, r) in enumerate(pairs)
    ]


def drawn(source: Any) -> Draw:
    return Draw.at(source, np.arange(len(source)))


def random_case(number: int) -> tuple[Said, Said, Tensor]:
    random = torch.Generator().manual_seed(number)
    tokens = torch.randint(1, 9, (2, 4), generator=random)
    logps = -torch.rand(4, 4, generator=random, dtype=torch.float64) * 9 - 0.01
    return Said(logps[0], tokens[0]), Said(logps[1], tokens[1]), logps[2:].T


def trl_loss(
    chosen: Said, rejected: Said, reference: Tensor, *, loss: str, beta: float, label_smoothing: float
) -> float:
    """TRL's own, its model replaced by one that says these log-probabilities in the first token of each answer."""
    from trl import DPOTrainer

    tokens = torch.cat([chosen.tokens, rejected.tokens])
    longest = int(tokens.max())
    log_probs = torch.zeros(len(tokens), longest, dtype=torch.float64)
    log_probs[:, 0] = torch.cat([chosen.logp, rejected.logp])
    mask = (torch.arange(longest) < tokens[:, None]).long()
    said = SimpleNamespace(
        log_probs=log_probs,
        entropy=torch.zeros_like(log_probs),
        mean_logits=torch.zeros_like(log_probs),
        is_top1=mask.bool(),
    )
    accelerator = SimpleNamespace(
        device=torch.device("cpu"), gather=lambda each: each, gather_for_metrics=lambda each: each
    )
    trainer = SimpleNamespace(
        model=torch.nn.Identity().eval(),
        accelerator=accelerator,
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=[loss],
        loss_weights=[1.0],
        use_weighting=False,
        beta=beta,
        label_smoothing=label_smoothing,
        _total_train_tokens=0,
        _tp_size=1,
        _metrics={"train": defaultdict(list), "eval": defaultdict(list)},
    )
    inputs = {
        "input_ids": torch.zeros(len(tokens), longest + 1, dtype=torch.long),
        "attention_mask": torch.ones(len(tokens), longest + 1, dtype=torch.long),
        "completion_mask": torch.cat([torch.zeros(len(tokens), 1, dtype=torch.long), mask], dim=1),
        "ref_chosen_logps": reference[:, 0],
        "ref_rejected_logps": reference[:, 1],
    }
    return float(DPOTrainer._compute_loss(trainer, lambda **_: said, inputs, return_outputs=False))


@needs_trl
@pytest.mark.parametrize(("loss", "smoothing"), [("sigmoid", 0.0), ("ipo", 0.0), ("robust", 0.1)])
def test_losses_are_those_of_trl(loss: Any, smoothing: float) -> None:
    """TRL has no cDPO any more; the test by hand has it."""
    for number in range(CASES):
        case = random_case(number)
        own = pair_losses(*case, loss=loss, beta=0.3, label_smoothing=smoothing).mean().item()
        assert own == pytest.approx(trl_loss(*case, loss=loss, beta=0.3, label_smoothing=smoothing), abs=1e-6)


@needs_trl
def test_the_odds_are_those_of_trl() -> None:
    from trl.experimental.orpo import ORPOTrainer

    trainer = SimpleNamespace(beta=0.3, accelerator=SimpleNamespace(device=torch.device("cpu")))
    for number in range(CASES):
        chosen, rejected, reference = random_case(number)
        own = pair_losses(chosen, rejected, reference, loss="orpo", beta=0.3, label_smoothing=0.0)
        theirs = -chosen.mean - ORPOTrainer.odds_ratio_loss(trainer, chosen.mean, rejected.mean)[0]
        torch.testing.assert_close(own, theirs.double(), atol=1e-5, rtol=1e-5)  # TRL's is of float32


def test_smoothed_losses_by_hand() -> None:
    """δ = (-1 + 2) - (-3 + 2.5) = 1.5, so that βδ = 0.75: σ(0.75) = 0.679179, and σ(-0.75) = 0.320821."""
    one = torch.tensor([1])
    chosen, rejected = Said(torch.tensor([-1.0]), one), Said(torch.tensor([-3.0]), one)
    reference = torch.tensor([[-2.0, -2.5]])
    right, wrong = -math.log(0.679179), -math.log(0.320821)

    def found(loss: Any, smoothing: float) -> float:
        return pair_losses(chosen, rejected, reference, loss=loss, beta=0.5, label_smoothing=smoothing).item()

    assert found("sigmoid", 0.0) == pytest.approx(right, abs=1e-5)
    assert found("sigmoid", 0.2) == pytest.approx(0.8 * right + 0.2 * wrong, abs=1e-5)
    assert found("robust", 0.2) == pytest.approx((0.8 * right - 0.2 * wrong) / 0.6, abs=1e-5)
    assert found("ipo", 0.0) == pytest.approx((1.5 - 1.0) ** 2, abs=1e-6)


def test_means_per_token_are_what_ipo_and_orpo_compare_and_sums_what_dpo_does() -> None:
    chosen, rejected, reference = random_case(1)
    longer = replace(chosen, tokens=2 * chosen.tokens)
    for loss, differs in (("sigmoid", False), ("ipo", True), ("orpo", True)):
        short, long = (
            pair_losses(each, rejected, reference, loss=loss, beta=0.1, label_smoothing=0.0)  # type: ignore[arg-type]
            for each in (chosen, longer)
        )
        assert torch.equal(short, long) != differs


def test_the_gradient_is_the_closed_form() -> None:
    """∂/∂log π(chosen) of the DPO loss is -β σ(-βδ), and of the other answer its opposite."""
    chosen, rejected, reference = random_case(2)
    better, worse = chosen.logp.clone().requires_grad_(), rejected.logp.clone().requires_grad_()
    losses = pair_losses(
        replace(chosen, logp=better),
        replace(rejected, logp=worse),
        reference,
        loss="sigmoid",
        beta=0.3,
        label_smoothing=0,
    )
    torch.autograd.backward(losses.sum())
    delta = (chosen.logp - reference[:, 0]) - (rejected.logp - reference[:, 1])
    torch.testing.assert_close(better.grad, -0.3 * torch.sigmoid(-0.3 * delta))
    torch.testing.assert_close(worse.grad, 0.3 * torch.sigmoid(-0.3 * delta))


def test_an_answer_without_tokens_divides_by_nothing() -> None:
    nothing, chosen = Said(torch.zeros(1), torch.tensor([0])), Said(torch.tensor([-1.0]), torch.tensor([2]))
    for loss in ("sigmoid", "ipo"):
        found = pair_losses(chosen, nothing, torch.zeros(1, 2), loss=loss, beta=0.1, label_smoothing=0.0)  # type: ignore[arg-type]
        assert found.isfinite().all()


def test_the_loss_at_the_start_is_that_of_a_guess_and_no_reward_is_given(tokenizer: Tokenizer) -> None:
    task, model = task_for(tokenizer), tiny(tokenizer)
    source = task.prepared(task.rows(examples_of(task), CONTEXT), model)
    found = task.loss(model, task.batch(drawn(source)))
    assert found.sum.item() / found.count == pytest.approx(math.log(2), abs=1e-9)
    by_name = {name: part.sum for name, part in found.parts.items()}
    assert (by_name["reward_chosen"], by_name["reward_rejected"]) == pytest.approx((0, 0), abs=1e-9)


def test_the_answers_alone_are_counted_each_from_a_pass_of_its_own(tokenizer: Tokenizer) -> None:
    """The prompt, the other answer and padding change nothing: the log-probabilities are those of single passes."""
    task, model = task_for(tokenizer), tiny(tokenizer)
    examples, special = examples_of(task), tokenizer.special_tokens
    chosen, rejected = task.said(model, task.batch(drawn(task.rows(examples, CONTEXT))))
    for number, example in enumerate(examples):
        for said, answer in ((chosen, example.chosen), (rejected, example.rejected)):
            before = [special["<|user|>"], *tokenizer.encode(example.prompt[0].content), special["<|end|>"]]
            before.append(special["<|assistant|>"])
            target = [*tokenizer.encode(answer), special["<|end|>"]]
            logp = model(torch.tensor([[*before, *target[:-1]]]))[0, len(before) - 1 :].log_softmax(-1)
            alone = sum(logp[place, token].item() for place, token in enumerate(target))
            assert said.logp[number].item() == pytest.approx(alone, abs=1e-9)
            assert int(said.tokens[number]) == len(target)


@pytest.mark.parametrize("loss", ["sigmoid", "ipo", "orpo"])
def test_a_step_down_the_gradient_rewards_the_better_answers_more(loss: str, tokenizer: Tokenizer) -> None:
    task, model = task_for(tokenizer, loss=loss), tiny(tokenizer)
    source = task.prepared(task.rows(examples_of(task), CONTEXT), model)
    batch = task.batch(drawn(source))
    before = task.loss(model, batch)
    torch.autograd.backward(before.sum)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.grad is not None:
                weight -= 1e-3 * weight.grad
    after = task.loss(model, batch)

    def margin(found: Any) -> float:
        return float(found.parts["reward_chosen"].sum - found.parts["reward_rejected"].sum)

    assert after.sum.item() < before.sum.item()
    assert margin(after) > margin(before)


def test_the_prompt_is_cut_alike_before_both_answers(tokenizer: Tokenizer) -> None:
    task = task_for(tokenizer)
    turns = [{"role": ("user", "assistant")[number % 2], "content": "the cat sat on the mat"} for number in range(9)]
    pairs = [(json.dumps(turns), "it did.", "it didn't, then it did sleep 4 times on the log, unbelievably quiet")]
    source = task.rows(examples_of(task, pairs), CONTEXT)
    start = int(source.starts[0])
    assert source.inputs[0][:start].tolist() == source.rejected[0][:start].tolist()
    assert any("lose their first turns" in note for note in source.notes)


SHAPES: dict[str, dict[str, Any]] = {
    "texts": {"prompt": "where?", "chosen": "here", "rejected": "there"},
    "trl": {
        "prompt": [{"role": "user", "content": "where?"}],
        "chosen": [{"role": "assistant", "content": "here"}],
        "rejected": [{"role": "assistant", "content": "there"}],
    },
    "ultrafeedback": {
        "prompt": "where?",
        "chosen": [{"role": "user", "content": "where?"}, {"role": "assistant", "content": "here"}],
        "rejected": [{"role": "user", "content": "where?"}, {"role": "assistant", "content": "there"}],
        "score_chosen": 8.0,
    },
    "openai": {
        "input": {"messages": [{"role": "user", "content": "where?"}]},
        "preferred_output": [{"role": "assistant", "content": "here"}],
        "non_preferred_output": [{"role": "assistant", "content": "there"}],
    },
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_every_shape_is_the_same_pair(shape: str, suffix: str, tokenizer: Tokenizer, tmp_path: Any) -> None:
    from tests.corpus.test_chat_rows import WRITERS

    path = WRITERS[suffix](tmp_path / f"pairs{suffix}", [SHAPES[shape]])  # type: ignore[operator]
    config = task_for(tokenizer).config
    (spec,) = config.told((SourceSpec(path=str(path)),))
    (record,) = open_source(spec)
    assert isinstance(record, Record)
    assert record.text == "where?\nhere\nthere"
    found = Preference.example_of(record, config)
    assert [turn.content for turn in found.prompt] == ["where?"]
    assert found.answers == ("here", "there")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "a", "chosen": "b"}, "no 'rejected' in it; it has 'prompt', 'chosen'"),
        ({"prompt": "a", "chosen": "b", "rejected": " "}, "rejected: ends in no words of the assistant"),
        ({"prompt": "", "chosen": "b", "rejected": "c"}, "no prompt: 'prompt' is empty"),
        (
            {"chosen": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "b"}], "rejected": "c"},
            "chosen and rejected differ before their last turn",
        ),
    ],
)
def test_what_is_no_pair_is_told(row: dict[str, Any], message: str, tokenizer: Tokenizer) -> None:
    meta = {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()}
    with pytest.raises(DataError, match=f"a:1: {message}"):
        Preference.example_of(Record("", "a:1", meta), task_for(tokenizer).config)


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r'label_smoothing: is for loss = "sigmoid" \(cDPO\) and "robust", not \'ipo\''
    ):
        read_settings({"name": "preference", "loss": "ipo", "label_smoothing": 0.1})
    with pytest.raises(ValueError, match='loss = "robust" needs label_smoothing'):
        read_settings({"name": "preference", "loss": "robust"})
