"""BERT: an encoder with learned positions and embeddings for the two texts of a pair.

Devlin et al. 2019, arXiv:1810.04805.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from wenlu.models.family import Ability, Family, Size
from wenlu.models.layers.encoder import EncoderHead, Pooler
from wenlu.models.layers.post_norm import PostNormConfig, PostNormEncoder
from wenlu.models.weights.heads import BaseModel, DecoderBias, ForHeads, LeftOver, OlderName, PoolerIsThere
from wenlu.models.weights.rules import Rename, Tie


class BertConfig(PostNormConfig):
    """Keys of Hugging Face's `BertConfig`.

    `has_pooler`, a key of our own, says whether a bare model has one; there it is an argument of the class.
    """

    head: EncoderHead | Literal["pretraining"] = "masked-lm"
    type_vocab_size: Size = 2
    layer_norm_eps: PositiveFloat = 1e-12
    classifier_dropout: float | None = Field(default=None, ge=0, lt=1)
    has_pooler: bool = True
    position_embedding_type: Literal["absolute"] = "absolute"
    is_decoder: Literal[False] = False
    add_cross_attention: Literal[False] = False

    @property
    def norm_eps(self) -> float:
        return self.layer_norm_eps

    @property
    def num_token_types(self) -> int:
        return self.type_vocab_size

    @property
    def head_dropout(self) -> float:
        if self.head == "question-answering":
            return 0.0
        return self.hidden_dropout_prob if self.classifier_dropout is None else self.classifier_dropout


class Bert(PostNormEncoder):
    """An encoder; with the head `pretraining` it also tells from `sentence_logits` whether two texts follow."""

    config: BertConfig

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        if config.head in _POOLING or (config.head == "none" and config.has_pooler):
            self.pooler = Pooler(config.hidden_size)
        self.sentence_head = nn.Linear(config.hidden_size, 2) if config.head == "pretraining" else None
        self.finish()

    def sentence_logits(self, hidden: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """(B, 2) from hidden states (B, T, D): the second text follows the first, or is from elsewhere."""
        assert self.sentence_head is not None, "only the head 'pretraining' reads pairs of texts"
        logits: Tensor = self.sentence_head(self.pooled(hidden, attention_mask))
        return logits


_POOLING = ("pretraining", "sequence-classification")


LAYERS = (
    Rename("embeddings.word_embeddings.weight", "embed_tokens.weight"),
    Rename("embeddings.position_embeddings.weight", "embed_positions.weight"),
    Rename("embeddings.token_type_embeddings.weight", "embed_types.weight"),
    Rename("embeddings.LayerNorm.{kind}", "embed_norm.{kind}"),
    Rename("encoder.layer.{i}.attention.self.query.{kind}", "layers.{i}.self_attn.q_proj.{kind}"),
    Rename("encoder.layer.{i}.attention.self.key.{kind}", "layers.{i}.self_attn.k_proj.{kind}"),
    Rename("encoder.layer.{i}.attention.self.value.{kind}", "layers.{i}.self_attn.v_proj.{kind}"),
    Rename("encoder.layer.{i}.attention.output.dense.{kind}", "layers.{i}.self_attn.o_proj.{kind}"),
    Rename("encoder.layer.{i}.attention.output.LayerNorm.{kind}", "layers.{i}.attention_norm.{kind}"),
    Rename("encoder.layer.{i}.intermediate.dense.{kind}", "layers.{i}.mlp.up_proj.{kind}"),
    Rename("encoder.layer.{i}.output.dense.{kind}", "layers.{i}.mlp.down_proj.{kind}"),
    Rename("encoder.layer.{i}.output.LayerNorm.{kind}", "layers.{i}.mlp_norm.{kind}"),
)
"""Of the base model, once its prefix is gone."""

BASE_PARTS = ("embeddings", "encoder", "pooler")

FAMILY = Family(
    name="bert",
    hf_types=("bert",),
    heads={
        "masked-lm": "BertForMaskedLM",
        "none": "BertModel",
        "pretraining": "BertForPreTraining",
        "sequence-classification": "BertForSequenceClassification",
        "token-classification": "BertForTokenClassification",
        "question-answering": "BertForQuestionAnswering",
    },
    reference="bert",
    abilities=frozenset({Ability.MASKED}),
    config=BertConfig,
    model=Bert,
    proportions={
        "hidden_size": 256,
        "intermediate_size": 1024,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
    },
    rules=(
        OlderName("{rest}.LayerNorm.gamma", "{rest}.LayerNorm.weight"),
        OlderName("{rest}.LayerNorm.beta", "{rest}.LayerNorm.bias"),
        BaseModel("bert", BASE_PARTS),
        *LAYERS,
        PoolerIsThere(),
        ForHeads(("masked-lm", "token-classification", "question-answering"), LeftOver("pooler.{rest}")),
        ForHeads(("masked-lm",), LeftOver("cls.seq_relationship.{kind}")),
        DecoderBias("cls.predictions.bias", "cls.predictions.decoder.bias"),
        Rename("cls.predictions.transform.dense.{kind}", "lm_head.transform.dense.{kind}"),
        Rename("cls.predictions.transform.LayerNorm.{kind}", "lm_head.transform.norm.{kind}"),
        Rename("cls.predictions.decoder.{kind}", "lm_head.decoder.{kind}"),
        Rename("cls.seq_relationship.{kind}", "sentence_head.{kind}"),
        ForHeads(("question-answering",), Rename("qa_outputs.{kind}", "classifier.{kind}")),
        ForHeads(
            ("masked-lm", "pretraining"), Tie("lm_head.decoder.weight", "embed_tokens.weight", "tie_word_embeddings")
        ),
    ),
    ignored=("embeddings.position_ids", "bert.embeddings.position_ids"),
    harmless=frozenset(
        {
            "directionality",
            "gradient_checkpointing",
            "pooler_fc_size",
            "pooler_num_attention_heads",
            "pooler_num_fc_layers",
            "pooler_size_per_head",
            "pooler_type",
        }
    ),
)
