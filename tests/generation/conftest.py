"""Tiny models with random weights, one of each family, and one that says what it is told to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self

import pytest
import torch
from torch import Tensor, nn

from wenlu.bundle import Bundle
from wenlu.models import FAMILIES, Ability, DecodeState, LanguageModel, ModelConfig, family
from wenlu.tasks.causal_lm import CausalLM
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer

VOCAB = 48


class MakeLlama(Protocol):
    def __call__(self, *, context: int = 64, vocab_size: int = VOCAB) -> LanguageModel: ...


@pytest.fixture
def make_llama() -> MakeLlama:
    """A builder of tiny Llamas whose logits differ clearly."""

    def make(*, context: int = 64, vocab_size: int = VOCAB) -> LanguageModel:
        row = family("llama")
        config = row.config(
            vocab_size=vocab_size,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=context,
            initializer_range=0.3,
        )
        torch.manual_seed(3)
        return row.build(config).eval()

    return make


TEXTS = ["The cat sat on the mat and ate a hat.", "今天天气很好，我们去公园。", "hello world 🙂 hello"] * 4


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TokenizerConfig(vocab_size=320, min_frequency=1), TEXTS)


def as_bundle(model: LanguageModel, tokenizer: Tokenizer) -> Bundle:
    return Bundle(model=model, tokenizer=tokenizer, task=CausalLM(), config=model.config, path=Path("tiny"))


@pytest.fixture
def bundle(make_llama: MakeLlama, tokenizer: Tokenizer) -> Bundle:
    return as_bundle(make_llama(context=128, vocab_size=tokenizer.vocab_size), tokenizer)


class StepState(DecodeState):
    """How many times the model has been called for each row."""

    def __init__(self, steps: Tensor) -> None:
        self.steps = steps

    @property
    def lengths(self) -> Tensor:
        return self.steps

    def select(self, rows: Tensor) -> Self:
        return type(self)(self.steps[rows])

    @classmethod
    def join(cls, states: list[Self]) -> Self:
        return cls(torch.cat([state.steps for state in states]))


class Script(LanguageModel):
    """Answers the tokens of a fixed text, over and over, whatever the prompt."""

    def __init__(self, ids: list[int], vocab_size: int) -> None:
        super().__init__()
        self.config = ModelConfig(vocab_size=vocab_size, hidden_size=len(ids))
        self.ids = torch.tensor(ids)
        self.lm_head = nn.Linear(len(ids), vocab_size, bias=False)
        self.lm_head.weight.data = 20.0 * nn.functional.one_hot(self.ids, vocab_size).float().T

    def init_state(self, batch_size: int = 1) -> StepState:
        return StepState(torch.zeros(batch_size, dtype=torch.int64))

    def hidden(
        self,
        input_ids: Tensor,
        *,
        decoder_input_ids: Tensor | None = None,  # noqa: ARG002
        attention_mask: Tensor | None = None,  # noqa: ARG002
        positions: Tensor | None = None,  # noqa: ARG002
        segments: Tensor | None = None,  # noqa: ARG002
        state: DecodeState | None = None,
    ) -> Tensor:
        assert isinstance(state, StepState)
        place = nn.functional.one_hot(state.steps % len(self.ids), len(self.ids)).float()
        state.steps = state.steps + 1
        return place.unsqueeze(1).expand(-1, input_ids.shape[1], -1)


@pytest.fixture(scope="session")
def byte_tokenizer() -> Tokenizer:
    """Every byte is a token, so that characters span tokens."""
    return train_tokenizer(TokenizerConfig(vocab_size=258), ["a"])


@pytest.fixture
def forced(byte_tokenizer: Tokenizer) -> Callable[[str], Bundle]:
    """A bundle whose model answers a text byte by byte, then the end token, then the text again."""

    def force(text: str) -> Bundle:
        ids = [*byte_tokenizer.encode(text), byte_tokenizer.eos_id]
        return as_bundle(Script(ids, byte_tokenizer.vocab_size), byte_tokenizer)

    return force


@pytest.fixture(params=[row.name for row in FAMILIES if Ability.CAUSAL in row.abilities])
def model(request: pytest.FixtureRequest, make_llama: MakeLlama) -> LanguageModel:
    """A tiny model of each family that continues texts."""
    row = family(request.param)
    if row.name == "llama":
        return make_llama()
    torch.manual_seed(3)
    sizes = {"intermediate_size": 24, "num_attention_heads": 4, "max_position_embeddings": 64, "pad_token_id": 0}
    sizes |= {"head_dim": 4} if row.name == "gemma3" else {}
    fitting = {name: size for name, size in sizes.items() if name in row.config.model_fields}
    config = row.config(vocab_size=VOCAB, hidden_size=16, num_hidden_layers=2, initializer_range=0.6, **fitting)
    return row.build(config).eval()
