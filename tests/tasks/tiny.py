"""Texts and models that are small enough to look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from wenlu.corpus.shards import TokenData
from wenlu.models import LanguageModel, family
from wenlu.tasks import TaskConfig, read_settings
from wenlu.tokenizers import Tokenizer

ENGLISH = [
    f"the {animal} sat on the {place} {n} times, unbelievably quiet. then it didn't move. did the {animal} sleep?\n"
    for n in range(8)
    for animal in ("cat", "dog", "partridge")
    for place in ("mat", "log")
]
CHINESE = [
    f"我们{verb}在{place}，酒店的服务人员非常热情。房间很干净！下次还会来北京大学附近入住。"
    for verb in ("昨天住", "一直", "经常")
    for place in ("上海", "南京", "杭州西湖", "火车站")
]

NewTokenizer = Callable[..., Tokenizer]
NewData = Callable[..., TokenData]

FAMILIES = {
    "denoising": "bart",
    "span-corruption": "t5",
    "causal-lm": "llama",
    "masked-lm": "bert",
    "next-sentence": "bert",
    "prefix-lm": "llama",
    "replaced-tokens": "bert",
    "sentence-order": "bert",
}
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 128,
    "hidden_dropout_prob": 0.0,
    "dropout_rate": 0.0,
    "dropout": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def tiny_model(task: TaskConfig, vocab_size: int, seed: int = 0) -> LanguageModel:
    """A small float64 model of a family that the task can train."""
    torch.manual_seed(seed)
    chosen = family(FAMILIES[task.name])
    sizes = {key: value for key, value in SIZES.items() if key in chosen.config.model_fields}
    config = chosen.config(**{"vocab_size": vocab_size, **sizes, **task.model_settings})
    return chosen.build(config, dtype=torch.float64)


def settings(name: str, **own: Any) -> TaskConfig:
    return read_settings({"name": name, **own})
