"""DistilBERT: half of BERT's layers, taught by it; no embeddings for pairs of texts.

Sanh et al. 2019, arXiv:1910.01108.
"""

from __future__ import annotations

import torch
from pydantic import Field

from wenlu.models.family import Ability, Family, Size
from wenlu.models.layers.encoder import EncoderHead, Pooler
from wenlu.models.layers.mlp import Activation
from wenlu.models.layers.post_norm import PostNormConfig, PostNormEncoder
from wenlu.models.weights.heads import BaseModel, ForHeads
from wenlu.models.weights.rules import Rename, Tie


class DistilBertConfig(PostNormConfig):
    """Keys of Hugging Face's `DistilBertConfig`, under the names that the other families use."""

    head: EncoderHead = "masked-lm"
    hidden_size: Size = Field(alias="dim")
    intermediate_size: Size = Field(alias="hidden_dim")
    num_hidden_layers: int = Field(ge=1, le=1000, alias="n_layers")
    num_attention_heads: Size = Field(alias="n_heads")
    hidden_act: Activation = Field(default="gelu", alias="activation")
    hidden_dropout_prob: float = Field(default=0.1, ge=0, lt=1, alias="dropout")
    attention_probs_dropout_prob: float = Field(default=0.1, ge=0, lt=1, alias="attention_dropout")
    seq_classif_dropout: float = Field(default=0.2, ge=0, lt=1)
    qa_dropout: float = Field(default=0.1, ge=0, lt=1)

    @property
    def norm_eps(self) -> float:
        return 1e-12

    @property
    def head_dropout(self) -> float:
        match self.head:
            case "sequence-classification":
                return self.seq_classif_dropout
            case "question-answering":
                return self.qa_dropout
            case _:
                return self.hidden_dropout_prob


class DistilBert(PostNormEncoder):
    config: DistilBertConfig

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        if config.head == "sequence-classification":
            self.pooler = Pooler(config.hidden_size, torch.relu)
        self.finish()


FAMILY = Family(
    name="distilbert",
    hf_types=("distilbert",),
    heads={
        "masked-lm": "DistilBertForMaskedLM",
        "none": "DistilBertModel",
        "sequence-classification": "DistilBertForSequenceClassification",
        "token-classification": "DistilBertForTokenClassification",
        "question-answering": "DistilBertForQuestionAnswering",
    },
    reference="distilbert",
    abilities=frozenset({Ability.MASKED}),
    config=DistilBertConfig,
    model=DistilBert,
    proportions={
        "hidden_size": 256,
        "intermediate_size": 1024,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
    },
    rules=(
        BaseModel("distilbert", ("embeddings", "transformer")),
        Rename("embeddings.word_embeddings.weight", "embed_tokens.weight"),
        Rename("embeddings.position_embeddings.weight", "embed_positions.weight"),
        Rename("embeddings.LayerNorm.{kind}", "embed_norm.{kind}"),
        Rename("transformer.layer.{i}.attention.q_lin.{kind}", "layers.{i}.self_attn.q_proj.{kind}"),
        Rename("transformer.layer.{i}.attention.k_lin.{kind}", "layers.{i}.self_attn.k_proj.{kind}"),
        Rename("transformer.layer.{i}.attention.v_lin.{kind}", "layers.{i}.self_attn.v_proj.{kind}"),
        Rename("transformer.layer.{i}.attention.out_lin.{kind}", "layers.{i}.self_attn.o_proj.{kind}"),
        Rename("transformer.layer.{i}.sa_layer_norm.{kind}", "layers.{i}.attention_norm.{kind}"),
        Rename("transformer.layer.{i}.ffn.lin1.{kind}", "layers.{i}.mlp.up_proj.{kind}"),
        Rename("transformer.layer.{i}.ffn.lin2.{kind}", "layers.{i}.mlp.down_proj.{kind}"),
        Rename("transformer.layer.{i}.output_layer_norm.{kind}", "layers.{i}.mlp_norm.{kind}"),
        Rename("pre_classifier.{kind}", "pooler.dense.{kind}"),
        Rename("vocab_transform.{kind}", "lm_head.transform.dense.{kind}"),
        Rename("vocab_layer_norm.{kind}", "lm_head.transform.norm.{kind}"),
        Rename("vocab_projector.{kind}", "lm_head.decoder.{kind}"),
        ForHeads(("question-answering",), Rename("qa_outputs.{kind}", "classifier.{kind}")),
        ForHeads(("masked-lm",), Tie("lm_head.decoder.weight", "embed_tokens.weight", when="tie_word_embeddings")),
    ),
    ignored=("embeddings.position_ids", "distilbert.embeddings.position_ids"),
    harmless=frozenset({"finetuning_task", "output_past", "sinusoidal_pos_embds", "tie_weights_"}),
)
