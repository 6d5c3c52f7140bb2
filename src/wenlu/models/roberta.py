"""RoBERTa: BERT trained longer on more text, without pairs; its positions begin behind the padding token's number.

Liu et al. 2019, arXiv:1907.11692.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from wenlu.models.bert import BASE_PARTS, LAYERS, BertConfig
from wenlu.models.family import Ability, Family
from wenlu.models.layers.encoder import CLASSIFYING, EncoderHead, Pooler, Texts
from wenlu.models.layers.mlp import Activation
from wenlu.models.layers.post_norm import PostNormEncoder
from wenlu.models.weights.heads import BaseModel, DecoderBias, ForHeads, LeftOver, OlderName, PoolerIsThere
from wenlu.models.weights.rules import Rename, Tie


class RobertaConfig(BertConfig):
    """Keys of Hugging Face's `RobertaConfig`.

    Of `max_position_embeddings` rows, the first `pad_token_id` + 1 stand for no position.
    """

    head: EncoderHead = "masked-lm"
    pad_token_id: int = Field(default=1, ge=0)

    @property
    def context(self) -> int:
        return self.max_position_embeddings - self.pad_token_id - 1


class Roberta(PostNormEncoder):
    config: RobertaConfig
    transform_activation: ClassVar[Activation | None] = "gelu"

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        if config.head == "sequence-classification":
            self.pooler = Pooler(config.hidden_size, dropout=config.head_dropout)
        elif config.head == "none" and config.has_pooler:
            self.pooler = Pooler(config.hidden_size)
        self.finish()

    def encode(self, texts: Texts) -> Tensor:
        return super().encode(replace(texts, positions=texts.positions + self.config.pad_token_id + 1))


_CLASSIFIES_TEXTS = ("sequence-classification",)

FAMILY = Family(
    name="roberta",
    hf_types=("roberta",),
    heads={
        "masked-lm": "RobertaForMaskedLM",
        "none": "RobertaModel",
        "sequence-classification": "RobertaForSequenceClassification",
        "token-classification": "RobertaForTokenClassification",
        "question-answering": "RobertaForQuestionAnswering",
    },
    reference="roberta",
    abilities=frozenset({Ability.MASKED}),
    config=RobertaConfig,
    model=Roberta,
    proportions={
        "hidden_size": 256,
        "intermediate_size": 1024,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
    },
    rules=(
        OlderName("{rest}.LayerNorm.gamma", "{rest}.LayerNorm.weight"),
        OlderName("{rest}.LayerNorm.beta", "{rest}.LayerNorm.bias"),
        BaseModel("roberta", BASE_PARTS),
        *LAYERS,
        PoolerIsThere(),
        ForHeads(("masked-lm", *CLASSIFYING), LeftOver("pooler.{rest}")),
        ForHeads(_CLASSIFIES_TEXTS, Rename("classifier.dense.{kind}", "pooler.dense.{kind}")),
        ForHeads(_CLASSIFIES_TEXTS, Rename("classifier.out_proj.{kind}", "classifier.{kind}")),
        ForHeads(("question-answering",), Rename("qa_outputs.{kind}", "classifier.{kind}")),
        DecoderBias("lm_head.bias", "lm_head.decoder.bias"),
        Rename("lm_head.dense.{kind}", "lm_head.transform.dense.{kind}"),
        Rename("lm_head.layer_norm.{kind}", "lm_head.transform.norm.{kind}"),
        ForHeads(("masked-lm",), Tie("lm_head.decoder.weight", "embed_tokens.weight", when="tie_word_embeddings")),
    ),
    ignored=("embeddings.position_ids", "roberta.embeddings.position_ids"),
    harmless=frozenset({"gradient_checkpointing"}),
)
