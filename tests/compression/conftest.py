"""A tiny model with strong opinions, and texts for it to read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tasks.tiny import CHINESE, ENGLISH, NewTokenizer

from wenlu.bundle import Bundle
from wenlu.compression.calibration import Calibration
from wenlu.models import Ability, family
from wenlu.tasks import CausalLM

NewBundle = Callable[..., Bundle]
TEXTS = (*ENGLISH[:12], *CHINESE[:4])


@pytest.fixture
def new_bundle(new_tokenizer: NewTokenizer) -> NewBundle:
    def build(name: str = "llama", **settings: Any) -> Bundle:
        torch.manual_seed(0)
        chosen = family(name)
        tokenizer = new_tokenizer()
        sizes = {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 64,
            "initializer_range": 0.3,
            **settings,
        }
        known = {key: value for key, value in sizes.items() if key in chosen.config.model_fields}
        if Ability.ENCODER_DECODER in chosen.abilities:
            known |= {"pad_token_id": tokenizer.pad_id, "decoder_start_token_id": tokenizer.eos_id}
        config = chosen.config(vocab_size=tokenizer.vocab_size, **known)
        task = CausalLM() if Ability.CAUSAL in chosen.abilities else None
        return Bundle(chosen.build(config).eval(), tokenizer, task, config, Path("tiny"))

    return build


@pytest.fixture(scope="session")
def calibration() -> Calibration:
    return Calibration(TEXTS, tokens=32)


def logits(bundle: Bundle, text: str = ENGLISH[0]) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = bundle.model(torch.tensor([bundle.tokenizer.encode(text)[:40]]))
        return found
