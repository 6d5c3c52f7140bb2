"""A language model that is prompted: whose likelihood decides, and which examples stand in front."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from wenlu.bundle import Bundle
from wenlu.config import check
from wenlu.errors import UsageError
from wenlu.evaluation.prompted import PromptedClassifier, drawn
from wenlu.models import family
from wenlu.tasks import CausalLM
from wenlu.tasks.text_classification import LabelledText, TextClassification, TextClassificationConfig
from wenlu.tokenizers import TokenizerConfig, train_tokenizer

LABELS = ("ham", "spam")
EXAMPLES = [LabelledText(f"mail {n}", None, (LABELS[n % 3 // 2],), str(n)) for n in range(9)]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    tokenizer = train_tokenizer(
        TokenizerConfig(kind="char", vocab_size="auto"), iter(["Text: Label: ham spam mail 0123\n"])
    )
    sizes = {"hidden_size": 24, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    row = family("llama")
    config = check(row.config, {**sizes, "vocab_size": tokenizer.vocab_size, "initializer_range": 0.5}, where="test")
    torch.manual_seed(0)
    return Bundle(row.build(config), tokenizer, CausalLM(), config, Path("nowhere"))


def task(bundle: Bundle, **settings: bool) -> TextClassification:
    return TextClassification(TextClassificationConfig(labels=LABELS, **settings), bundle.tokenizer)


def test_a_label_has_the_likelihood_of_its_text_behind_the_prompt(bundle: Bundle) -> None:
    """Each label read alone, without padding, beside the same of an empty text."""
    predictor = PromptedClassifier.of(task(bundle), bundle, EXAMPLES, 2)

    def by_hand(text: str, label: str) -> float:
        shots = "".join(f"Text: {shot.text}\nLabel: {shot.labels[0]}\n\n" for shot in predictor.shots if shot.labels)
        prompt = bundle.tokenizer.encode(f"{shots}Text: {text}\nLabel:")
        ids = [*bundle.tokenizer.opening, *prompt, *bundle.tokenizer.encode(f" {label}")]
        nats = F.log_softmax(bundle.model(torch.tensor([ids]))[0].double(), dim=-1)
        count = len(bundle.tokenizer.encode(f" {label}"))
        return sum(float(nats[place - 1, ids[place]]) for place in range(len(ids) - count, len(ids)))

    with torch.inference_mode():
        scores = [by_hand("mail 3", label) - by_hand("", label) for label in LABELS]
    share = 1 / (1 + math.exp(scores[1] - scores[0]))
    (answer,) = predictor.answer([LabelledText("mail 3")])
    assert answer.probabilities == pytest.approx((share, 1 - share), abs=1e-5)


def test_examples_are_drawn_from_each_label_in_turn() -> None:
    labels = [(shot.labels or ("",))[0] for shot in drawn(EXAMPLES, LABELS, 8, seed=0)]
    assert labels == ["ham", "spam", "ham", "spam", "ham", "spam", "ham", "ham"]  # there are three of spam
    assert drawn(EXAMPLES, LABELS, 0, seed=0) == ()


def test_several_labels_cannot_be_asked_for(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="is asked for one label, and task"):
        PromptedClassifier.of(task(bundle, several=True), bundle, EXAMPLES, 0)
